package channel

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Each fuzz test feeds a decoder with anything. What it accepts must be valid
// and must encode to the very bytes it came from: there is one encoding.

func addStructures(f *testing.F, typ, kind string) {
	for _, v := range readVectors[[]structVector](f, "structures") {
		if typ == "" {
			f.Add([]byte(v.Envelope))
		} else if v.Type == typ {
			f.Add([]byte(v.Payload))
		}
	}
	for _, v := range readVectors[[]invalidVector](f, "invalid") {
		if v.Kind == kind && len(v.Hex) < 4096 {
			f.Add([]byte(v.Hex))
		}
	}
}

func fuzzDecoder[T any](f *testing.F, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decode(data)
		if err != nil {
			wrapsOne(t, err)
			return
		}
		again, err := encode(v)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x\nbecame\n%x, %v", data, again, err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back T
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again, err := encode(back); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("JSON loses something: %s: %v", text, err)
		}
	})
}

// wrapsOne checks that a refusal says which decision to make.
func wrapsOne(t *testing.T, err error) {
	t.Helper()
	n := 0
	for _, s := range sentinels {
		if bytes.Contains([]byte(err.Error()), []byte(s.Error())) {
			n++
		}
	}
	if n == 0 {
		t.Fatalf("no sentinel in %v", err)
	}
}

func FuzzEnvelope(f *testing.F) {
	addStructures(f, "", "envelope")
	fuzzDecoder(f, DecodeEnvelope, EncodeEnvelope)
}

func FuzzRoot(f *testing.F) {
	addStructures(f, TypeRoot, "root")
	fuzzDecoder(f, DecodeRoot, Root.Encode)
}

func FuzzManifest(f *testing.F) {
	addStructures(f, TypeManifest, "manifest")
	fuzzDecoder(f, DecodeManifest, Manifest.Encode)
}

func FuzzHead(f *testing.F) {
	addStructures(f, TypeHead, "head")
	fuzzDecoder(f, DecodeHead, Head.Encode)
}

func FuzzBody(f *testing.F) {
	for _, v := range readVectors[[]bodyVector](f, "bodies") {
		f.Add([]byte(v.Body))
	}
	addStructures(f, "none", "body")
	fuzzDecoder(f, DecodeBody, EncodeBody)
}

func addTexts(f *testing.F, kinds ...string) {
	v := readVectors[textVectors](f, "texts")
	for _, kind := range kinds {
		for _, in := range v.Inputs {
			if in.Kind == kind {
				f.Add(in.Text)
			}
		}
		for _, in := range readVectors[[]invalidVector](f, "invalid") {
			if in.Kind == kind && len(in.Text) < 2048 {
				f.Add(in.Text)
			}
		}
	}
	for _, a := range v.Addresses {
		f.Add(a.In)
	}
	for _, name := range v.Names {
		f.Add(name)
	}
}

func FuzzAddress(f *testing.F) {
	addTexts(f, "address")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if a.Path != "" && ValidName(a.Path) != nil {
			t.Fatalf("%q has the path %q", s, a.Path)
		}
		whole := a.StringWithReadKey()
		b, err := ParseAddress(whole)
		if err != nil || a.ID != b.ID || a.Path != b.Path || !a.ReadKey.Equal(b.ReadKey) || b.StringWithReadKey() != whole {
			t.Fatalf("%q became %q: %v", s, whole, err)
		}
	})
}

func FuzzName(f *testing.F) {
	addTexts(f, "name", "name-hex")
	f.Fuzz(func(t *testing.T, s string) {
		if ValidName(s) != nil {
			return
		}
		if NormalizeName(s) != s || len(s) > MaxName || strings.Contains("/"+s+"/", "/../") || strings.ContainsAny(s, "\\\x00\n") {
			t.Fatalf("%q is a valid name", s)
		}
		_ = PortableName(s)
		if a, err := ParseAddress(Address{ID: testID(), Path: s}.String()); err != nil || a.Path != s {
			t.Fatalf("%q does not survive an address: %v", s, err)
		}
	})
}

func FuzzTopic(f *testing.F) {
	addTexts(f, "topic", "strict-topic")
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := NormalizeTopic(s)
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if err := ValidTopic(topic); err != nil {
			t.Fatalf("%q became %q: %v", s, topic, err)
		}
		if again, err := NormalizeTopic(topic); err != nil || again != topic {
			t.Fatalf("%q became %q became %q: %v", s, topic, again, err)
		}
	})
}

func FuzzDraft(f *testing.F) {
	addTexts(f, "draft")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDraft([]byte(s))
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		// A reader of the standard library sees the same text.
		var std struct{ Title, Description string }
		if err := json.Unmarshal([]byte(s), &std); err != nil || std.Title != d.Title || std.Description != d.Description {
			t.Fatalf("parser differential: %q, %q: %v", std, d.Title, err)
		}
	})
}

func FuzzFileEntries(f *testing.F) {
	addTexts(f, "file-entries")
	f.Fuzz(func(t *testing.T, s string) {
		entries, err := ParseFileEntries([]byte(s))
		if err != nil {
			wrapsOne(t, err)
			return
		}
		text, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseFileEntries(text)
		if err != nil || !reflect.DeepEqual(entries, back) {
			t.Fatalf("%s: %v", text, err)
		}
		if strings.HasPrefix(strings.TrimSpace(s), "[") {
			var std []struct {
				Name string
				Size uint64
			}
			if err := json.Unmarshal([]byte(s), &std); err != nil || std[0].Name != entries[0].Name || std[0].Size != entries[0].Size {
				t.Fatalf("parser differential: %v: %v", std, err)
			}
		}
	})
}
