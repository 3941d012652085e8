package channel

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestBodyHoldsAsManyEntriesAsTheLimitSays(t *testing.T) {
	var b Body
	for i := range MaxEntries {
		b.Entries = append(b.Entries, testEntry(fmt.Sprintf("folder with a long name/%05d/a file with a long name.flac", i), 1<<30))
	}
	data := must(EncodeBody(b))(t)
	if back := must(DecodeBody(data))(t); len(back.Entries) != MaxEntries {
		t.Errorf("%d entries", len(back.Entries))
	}
	b.Entries = append(b.Entries, testEntry("z", 1))
	if err := b.Validate(); !errors.Is(err, ErrLimit) {
		t.Errorf("one entry more: %v", err)
	}
	if _, err := DecodeBody(rawEncode(b)); !errors.Is(err, ErrLimit) {
		t.Errorf("one entry more: %v", err)
	}
	var r Body
	for i := range MaxRemovals + 1 {
		r.Removals = append(r.Removals, Removal{Name: fmt.Sprintf("%05d", i)})
	}
	if _, err := DecodeBody(rawEncode(r)); !errors.Is(err, ErrLimit) {
		t.Errorf("one removal more: %v", err)
	}
	r.Removals = r.Removals[1:]
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}

func TestBodyOverTwoMebibytesIsRefused(t *testing.T) {
	if _, err := DecodeBody(make([]byte, MaxBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	var b Body
	for i := range MaxEntries {
		e := testEntry(fmt.Sprintf("%05d", i), 1)
		e.Attrs = map[string]string{"a": string(bytes.Repeat([]byte{'x'}, 500))}
		b.Entries = append(b.Entries, e)
	}
	if _, err := EncodeBody(b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestSortedBodyIsValidWhateverTheOrderWas(t *testing.T) {
	b := *testManifest().Body
	b.Removals = testManifest2().Body.Removals[:0:0]
	for _, name := range []string{"z", "b/c", "é", "a"} {
		b.Removals = append(b.Removals, Removal{Name: name})
	}
	b.Entries = slices.Clone(b.Entries)
	slices.Reverse(b.Entries)
	b.Sort()
	if err := b.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFileEntryIsAFileForTheCodec(t *testing.T) {
	for _, e := range testManifest().Body.Entries {
		if err := e.File().Validate(); err != nil {
			t.Error(err)
		}
		if f := e.File(); f.SHA256 != e.SHA256 || f.Size != e.Size || f.Root != e.Root || f.Depth != e.Depth {
			t.Error("something got lost")
		}
	}
}

func TestHostileNamesThatOnlySomeSystemsCannotHoldAreToldToPublishers(t *testing.T) {
	for _, name := range []string{"con", "a/NUL.txt", "Com1", "lpt³.x", "aux .y", "tail.", "space /x", "a:b", "what?", "a*b", `say "x"`, "a|b", "<a>", "CONIN$"} {
		if ValidName(name) != nil || !errors.Is(PortableName(name), ErrName) {
			t.Errorf("%q: %v, %v", name, ValidName(name), PortableName(name))
		}
	}
	for _, name := range []string{"console", "com10", "com", "a.b", ".x", "nulls/x", "музыка", "x y", "lpt"} {
		if err := PortableName(name); err != nil {
			t.Error(err)
		}
	}
	if got := NormalizeName("e\u0301"); got != "é" || ValidName(got) != nil {
		t.Errorf("%q", got)
	}
}

// TestParserDifferentialNoValidNameIsTouchedByStreamSafeNFC: what Go's NFC
// would break up with a joiner, though plain NFC leaves it alone, is refused by
// a rule that every implementation can follow.
func TestParserDifferentialNoValidNameIsTouchedByStreamSafeNFC(t *testing.T) {
	const joiner = "\u034f"
	seen := 0
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		s := string(r)
		if !utf8.ValidRune(r) || norm.NFC.PropertiesString(s).BoundaryBefore() || s == joiner {
			continue
		}
		seen++
		many := "a" + strings.Repeat(s, 40)
		if strings.Contains(norm.NFC.String(many), joiner) && !overstacked(many) {
			t.Errorf("%U may be stacked", r)
		}
		few := "\u1eaf" + strings.Repeat(s, maxStack)
		if strings.Contains(norm.NFC.String(few), joiner) && norm.NFC.IsNormalString(s) {
			t.Errorf("%d times %U is broken up", maxStack, r)
		}
	}
	if seen < 800 {
		t.Errorf("only %d characters that combine", seen)
	}
}
