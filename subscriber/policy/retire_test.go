package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/anonymous-media-library/aml/channel"
)

// keptByTheWords is what the rules keep, worked out from their words alone: of
// the files that a rule is the first to match, the newest as long as their number
// and bytes are within its bounds, none that is older than its age, and whatever
// the newest release brought unless it is too old.
func keptByTheWords(t interface{ Fatal(...any) }, keep []Keep, items []Item, now time.Time) map[string]bool {
	rules, err := Policy{Keep: keep}.Compile(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var last Item
	for _, it := range items {
		if newer(it, last) < 0 || last.Name == "" {
			last = it
		}
	}
	kept := map[string]bool{}
	byRule := map[int][]Item{}
	for _, it := range items {
		i := rules.rule(it.Name)
		if i < 0 {
			kept[it.Name] = true
			continue
		}
		byRule[i] = append(byRule[i], it)
	}
	for i, of := range byRule {
		k := keep[i]
		slices.SortFunc(of, newer)
		count, bytes, full := int64(0), uint64(0), false
		for _, it := range of {
			if k.Age > 0 && now.Sub(it.Issued.Time()) > k.Age {
				continue
			}
			count, bytes = count+1, bytes+it.Size
			full = full || k.Count > 0 && count > k.Count || k.Bytes > 0 && bytes > uint64(k.Bytes)
			if !full || it.Issued == last.Issued && it.Position == last.Position {
				kept[it.Name] = true
			}
		}
	}
	return kept
}

func drawKeep(t *rapid.T) []Keep {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Keep {
		k := Keep{Path: rapid.SampledFrom([]string{"", "a/**", "*.x", "b/*", "?1"}).Draw(t, "path")}
		switch rapid.IntRange(0, 3).Draw(t, "bounds") {
		case 0:
			k.Count = rapid.Int64Range(1, 5).Draw(t, "count")
		case 1:
			k.Bytes = rapid.Int64Range(1, 40).Draw(t, "bytes")
		case 2:
			k.Age = time.Duration(rapid.IntRange(1, 20).Draw(t, "age")) * time.Second
		default:
			k.Count, k.Bytes, k.Age = rapid.Int64Range(1, 5).Draw(t, "count"), rapid.Int64Range(1, 40).Draw(t, "bytes"), 9*time.Second
		}
		return k
	}), 1, 4).Draw(t, "keep")
}

func TestRetireKeepsExactlyWhatTheRulesSayInWhateverOrderFilesCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := drawKeep(t)
		var items []Item
		issued := int64(1_000_000)
		for p := range rapid.IntRange(0, 12).Draw(t, "releases") {
			issued += int64(rapid.IntRange(0, 4).Draw(t, "pause"))
			for i := range rapid.IntRange(0, 4).Draw(t, "files") {
				dir := rapid.SampledFrom([]string{"", "a/", "b/", "a/b/"}).Draw(t, "dir")
				items = append(items, Item{Name: fmt.Sprintf("%s%d%d%s", dir, p, i, rapid.SampledFrom([]string{"", ".x"}).Draw(t, "ext")),
					Size: uint64(rapid.IntRange(0, 20).Draw(t, "size")), Issued: channel.Time(issued), Position: int64(p)})
			}
		}
		now := channel.Time(issued).Time()
		rules, err := Policy{Keep: keep}.Compile(time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		want := keptByTheWords(t, keep, items, now)
		gone, _ := rules.Retire(rapid.Permutation(items).Draw(t, "order"), now)
		for _, g := range gone {
			if want[g.Name] || g.Why == "" {
				t.Fatalf("%v: %s is let go (%s), and the rules keep it", keep, g.Name, g.Why)
			}
		}
		if len(gone)+len(want) != len(items) {
			t.Fatalf("%v: %d of %d files are let go, want %d to stay", keep, len(gone), len(items), len(want))
		}
		if !slices.IsSortedFunc(gone, func(a, b Gone) int { return older(a.Item, b.Item) }) {
			t.Fatalf("not the oldest first: %v", gone)
		}
	})
}

func TestAReleaseIsSparedByItsOwnRuleAndSaidToBe(t *testing.T) {
	rules, err := Policy{Keep: []Keep{{Path: "n/*", Count: 1}, {Bytes: 10}}}.Compile(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	items := []Item{
		{Name: "n/1", Issued: 10, Position: 1}, {Name: "n/2", Issued: 20, Position: 2}, {Name: "n/3", Issued: 20, Position: 2},
		{Name: "big", Size: 11, Issued: 20, Position: 2}, {Name: "small", Size: 1, Issued: 10, Position: 1},
	}
	gone, spared := rules.Retire(items, channel.Time(30).Time())
	if got := names(gone); got != "small (bytes 10B), n/1 (count 1 of n/*)" {
		t.Errorf("let go: %s", got)
	}
	if got := names(spared); got != "n/3 (count 1 of n/*), big (bytes 10B)" {
		t.Errorf("spared: %s", got)
	}
}

func names(of []Gone) (s string) {
	for i, g := range of {
		if i > 0 {
			s += ", "
		}
		s += g.Name + " (" + g.Why + ")"
	}
	return s
}

func TestKeepRulesReadWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := drawKeep(t)
		got, err := ParseKeeps("rules", KeepsJSON(keep))
		if err != nil || !slices.Equal(got, keep) {
			t.Fatalf("%v became %v (%v)", keep, got, err)
		}
		for _, k := range keep {
			if got, err := ParseKeep(k.String()); err != nil || got != k {
				t.Fatalf("%v became %v (%v)", k, got, err)
			}
		}
	})
}

func TestKeepRulesThatCannotBeMeantAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": ``, "no object": `[]`, "nothing said": `{}`, "another field": `{"keep": [], "maxAge": "7d"}`, "a version to come": `{"version": 2, "keep": []}`,
		"no bound": `{"keep": [{"path": "a"}]}`, "an open set": `{"keep": [{"path": "[a", "count": 1}]}`, "null": `{"keep": null}`,
		"twice": `{"keep": [], "keep": []}`, "a fraction": `{"keep": [{"count": 1.5}]}`, "negative": `{"keep": [{"count": -1}]}`,
		"an age without a unit": `{"keep": [{"age": "7"}]}`, "more behind it": `{"keep": []} x`, "half": `{"keep": [`,
	} {
		if got, err := ParseKeeps("rules.json", []byte(text)); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
	if got, err := ParseKeeps("rules.json", []byte(`{"version": 1, "keep": ["path=a/*,count=2", {"age": "1d"}]}`)); err != nil || len(got) != 2 {
		t.Errorf("good rules: %v, %v", got, err)
	}
	if _, err := ParseKeeps("rules.json", []byte("\n{}")); err == nil || !strings.Contains(err.Error(), "rules.json: line 2, column 1: not a policy: keep: it is missing") {
		t.Errorf("no rules: %v", err)
	}
	if _, err := ParseKeeps("rules.json", []byte(`{"keep": [{"count": 0}]}`)); !errors.Is(err, ErrPolicy) {
		t.Errorf("a rule that bounds nothing: %v", err)
	}
}

func FuzzParseKeeps(f *testing.F) {
	f.Add([]byte(`{"version": 1, "keep": ["path=a/*,count=2", {"age": "1d", "bytes": "2GiB"}]}`))
	f.Add([]byte(`{"keep": [{"path": "[", "count": 1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := ParseKeeps("rules", text)
		if err != nil {
			return
		}
		again, err := ParseKeeps("rules", KeepsJSON(rules))
		if err != nil || !slices.Equal(again, rules) {
			t.Errorf("%s: read as %v, then as %v (%v)", text, rules, again, err)
		}
	})
}
