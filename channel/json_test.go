package channel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestErrorsOfInputSayWhereAndWhat(t *testing.T) {
	entry := string(must(json.MarshalIndent(testEntry("a", 1), "", "  "))(t))
	for _, v := range []struct{ kind, text, want string }{
		{"draft", "{\n  \"title\": \"x\",\n  \"tilte\": \"y\"\n}", `line 3, column 3: malformed: unknown field "tilte"`},
		{"draft", "{\"entries\": [\n {\"path\":\"x\"},\n {\"path\":\"x\", \"nmae\":\"y\"}]}", `line 3, column 15: entries[1]: malformed: unknown field "nmae"`},
		{"draft", `{"title":"x","title":"y"}`, `line 1, column 14: malformed: field "title" occurs twice`},
		{"draft", `{"metadata":{"a b":7}}`, `metadata["a b"]: malformed: want a string, found a number`},
		{"draft", "{\"title\": \"x\"\n\"description\": 1}", `line 2, column 1: malformed: not JSON: invalid character '"' after object key:value pair`},
		{"draft", `{"version": 3}`, `unknown version: field "version" is 3, want 1`},
		{"draft", `{"entries":[{"path":"é","name":"../x"}]}`, `line 1, column 32: entries[0].name: invalid name: "../x" has the component ".."`},
		{"draft", `{"\u001b[31m":1}`, `unknown field "\x1b[31m"`},
		{"draft", `[]`, `line 1, column 1: malformed: want an object, found an array`},
		{"draft", ``, `line 1, column 1: malformed: it is empty`},
		{"draft", "{\"title\":\"a\xff\"}", `line 1, column 12: malformed: not valid UTF-8`},
		{"file-entries", `{"name":"x"}`, `unknown version: field "version" is missing, want 1`},
		{"file-entries", "[\n" + strings.Replace(entry, `"tree"`, `"three"`, 1) + "]", `[0].root: malformed: unknown field "three"`},
		{"file-entries", strings.Replace(entry, `"id": "`, `"id": "0`, 1), `root.id: malformed: blob id has 65 characters, want 64 hex digits`},
		{"file-entries", strings.Replace(entry, `"mode": "0644"`, `"mode": "644"`, 1), `mode: malformed: want permission bits in octal, like "0644"`},
		{"file-entries", strings.Replace(entry, `"depth": 0,`, ``, 1), `malformed: field "depth" is missing`},
		{"file-entries", "[" + entry + "," + entry + "]", `invalid name: file entries has "a" twice`},
	} {
		err := readInput(v.kind, v.text)
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s\n got %v\nwant %s", v.text, err, v.want)
		}
	}
}

func TestEndlessDataInputIsBounded(t *testing.T) {
	big := []byte(`{"title":"` + strings.Repeat("x", MaxJSON) + `"}`)
	if _, err := ParseDraft(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if _, err := ParseFileEntries(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	// Each is given up where it breaks a rule first, and not read to its end.
	for name, v := range map[string]struct{ text, want string }{
		"brackets":     {strings.Repeat("[", MaxJSON/4), "line 1, column 10001: malformed: not JSON"},
		"deep and end": {strings.Repeat("[", MaxJSON/8) + strings.Repeat("]", MaxJSON/8), "line 1, column 10001: malformed: not JSON"},
		"lists":        {`{"entries":[` + strings.Repeat("[],", MaxJSON/8) + `[]]}`, "line 1, column 13: entries[0]: malformed"},
		"fields":       {`{"metadata":{` + manyFields(100_000) + `}}`, "column 586: metadata.f64: over the limit: more than 64 pairs"},
		"versions":     {`{` + manyFields(100_000) + `}`, "column 2468: over the limit: an object of so many fields"},
	} {
		_, err := ParseDraft([]byte(v.text))
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %s", name, err, v.want)
		}
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"f%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// TestFileEntriesOfAFolderOfThousandsAreRead is what ingest of a large folder
// gives.
func TestFileEntriesOfAFolderOfThousandsAreRead(t *testing.T) {
	var entries []FileEntry
	for i := range 5_000 {
		e := testEntry(fmt.Sprintf("f/%05d.bin", i), uint64(i))
		e.Attrs = map[string]string{"n": fmt.Sprint(i)}
		entries = append(entries, e)
	}
	text := must(json.Marshal(entries))(t)
	back := must(ParseFileEntries(text))(t)
	if len(back) != len(entries) || back[4_999].Attrs["n"] != "4999" {
		t.Error("something got lost")
	}
}

func TestTimesAreWholeSecondsInUTC(t *testing.T) {
	var v Time
	if err := v.UnmarshalText([]byte("2026-01-01T01:00:00+01:00")); err != nil || v.String() != "2026-01-01T00:00:00Z" {
		t.Errorf("%s, %v", v, err)
	}
	if !TimeOf(time.Time{}).IsZero() || !Time(0).Time().IsZero() || Time(0).String() != "never" {
		t.Error("zero is no time")
	}
	if got := TimeOf(time.Unix(100, 999_999_999)); got != 100 {
		t.Errorf("%d", got)
	}
	for _, bad := range []string{"1969-12-31T23:59:59Z", "2026-01-01", "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00", "yesterday"} {
		if err := v.UnmarshalText([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
