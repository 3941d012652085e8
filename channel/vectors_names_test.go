package channel

import (
	"bytes"
	"strings"
	"testing"
)

// publisherNames are roots and root drafts whose publishers have names that may
// not be.
func (out *invalidVectors) publisherNames(t *testing.T) {
	for _, v := range []struct{ what, name, err string }{
		{"of 65 bytes", strings.Repeat("n", MaxPublisherName+1), "ErrLimit"},
		{"of 33 characters of two bytes", strings.Repeat("я", MaxPublisherName/2+1), "ErrLimit"},
		{"with a line feed", "Ann\nkey 00: publishes", "ErrMalformed"},
		{"with a tab", "Ann\tBen", "ErrMalformed"},
		{"with an escape sequence", "\x1b[2JAnn", "ErrMalformed"},
		{"with a bidi override", "\u202enna", "ErrMalformed"},
		{"with a bidi isolate", "\u2068Ann", "ErrMalformed"},
		{"with a NUL", "Ann\x00", "ErrMalformed"},
		{"with a comma", "Ann, Ben", "ErrMalformed"},
		{"that is a space", " ", "ErrMalformed"},
		{"that is an ideographic space", "\u3000", "ErrMalformed"},
		{"that begins with a space", " Ann", "ErrMalformed"},
		{"that ends with a space", "Ann ", "ErrMalformed"},
		{"that begins with an en quad", "\u2000Ann", "ErrMalformed"},
		{"that ends with a no-break space", "Ann\u00a0", "ErrMalformed"},
	} {
		r := testNamedRoot()
		r.Publishers[1].Name = v.name
		out.hex("root", "name of a publisher "+v.what, rawEncode(r), v.err)
	}
	root := mustEncode(testRoot()) // one publisher, without a name
	key := testPub("publisher1")
	without := append(append([]byte{0xa2, 0x01, 0x58, 0x20}, key[:]...), "\x02\x67publish"...)
	name := func(what, value string) {
		with := append(append([]byte{0xa3}, without[1:]...), "\x05"+value...)
		if !bytes.Contains(root, without) {
			t.Fatal("the root has no such publisher")
		}
		out.hex("root", "name of a publisher "+what, bytes.Replace(root, without, with, 1), "ErrMalformed")
	}
	name("that is empty", "\x60")
	name("that is not UTF-8", "\x61\xff")
	name("as bytes", "\x43Ann")
	name("that is null", "\xf6")

	draft := rootDraftText(t, testDraft(t, 1, testNamedRoot()))
	for _, v := range []struct{ what, name, err string }{
		{"of 65 bytes", `"` + strings.Repeat("n", MaxPublisherName+1) + `"`, "ErrLimit"},
		{"with an escaped line feed", `"a\nb"`, "ErrMalformed"},
		{"with a comma", `"Ann, Ben"`, "ErrMalformed"},
		{"with an escaped space at its end", `"Ann\u0020"`, "ErrMalformed"},
		{"with half a surrogate pair", `"\ud800"`, "ErrMalformed"},
		{"that is a number", `5`, "ErrMalformed"},
		{"that is null", `null`, "ErrMalformed"},
	} {
		old := `"name":"` + strings.Repeat("n", MaxPublisherName) + `"`
		if !strings.Contains(draft, old) {
			t.Fatalf("the draft has no %s: %s", old, draft)
		}
		out.text("root-draft", "name of a publisher "+v.what, strings.Replace(draft, old, `"name":`+v.name, 1), v.err)
	}
}
