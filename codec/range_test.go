package codec

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestAnyPartOfABlobOpensToThatPartOfThePlaintext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 1200), rapid.IntRange(60_000, 70_000)).Draw(t, "size")
		plain := testPlain(size)
		key := Key(testPlainAt("key", size))
		blob, err := Seal(nil, plain, key)
		if err != nil {
			t.Fatal(err)
		}
		ref := MakeRef(blob, key, uint64(size))
		if BlobSize(ref) != len(blob) {
			t.Fatalf("blob of %d bytes, BlobSize says %d", len(blob), BlobSize(ref))
		}
		offset := rapid.IntRange(0, len(blob)).Draw(t, "offset")
		n := rapid.IntRange(0, len(blob)-offset).Draw(t, "n")
		want := plain[min(offset, size):min(offset+n, size)]
		got, err := OpenRange([]byte("before"), blob[offset:offset+n], ref, offset)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("bytes %d to %d of %d: %v", offset, offset+n, size, err)
		}
		part := bytes.Clone(blob[offset : offset+n])
		if got, err := OpenRange(part[:0], part, ref, offset); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("in place: bytes %d to %d of %d: %v", offset, offset+n, size, err)
		}
	})
}

func TestPartsOutsideOfABlobAreRefused(t *testing.T) {
	blob, _ := Seal(nil, testPlain(600), Key{})
	ref := MakeRef(blob, Key{}, 600)
	for what, c := range map[string]struct {
		part, offset int
		ref          Ref
	}{
		"before it":         {1, -1, ref},
		"behind it":         {1, len(blob), ref},
		"over its end":      {len(blob), 1, ref},
		"far behind it":     {0, len(blob) + 1, ref},
		"a chunk too large": {1, 0, sized(ref, MaxChunkSize+1)},
		"2^64-1 bytes":      {1, 0, sized(ref, 1<<64-1)},
	} {
		if _, err := OpenRange(nil, blob[:c.part], c.ref, c.offset); !errors.Is(err, ErrPadding) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := BlobSize(sized(ref, 1<<64-1)); got != 0 {
		t.Errorf("2^64-1 bytes in a blob of %d", got)
	}
}

type rangeVector struct {
	Name      string   `json:"name"`
	Ref       Ref      `json:"ref"`
	Offset    int      `json:"offset"`
	Part      hexBytes `json:"part"`
	Plaintext hexBytes `json:"plaintext"`
	Error     string   `json:"error,omitempty"`
}

func TestVectorsRange(t *testing.T) {
	all := vectors(t, "range.json", func() (all []rangeVector) {
		key := Key(testPlainAt("key", 0))
		blob, _ := Seal(nil, testPlain(520), key) // padded to 544
		ref := MakeRef(blob, key, 520)
		add := func(name string, from, to int) {
			all = append(all, rangeVector{name, ref, from, blob[from:to], testPlain(520)[min(from, 520):min(to, 520)], ""})
		}
		add("the whole blob", 0, 560)
		add("from the second block on", 64, 192)
		add("within a block", 70, 80)
		add("over the end of the plaintext", 500, 530)
		add("padding alone", 521, 540)
		add("tag alone", 544, 560)
		add("nothing", 300, 300)
		bad := func(name string, offset int, part []byte, ref Ref) {
			all = append(all, rangeVector{name, ref, offset, part, nil, "padding"})
		}
		bad("behind the end", 545, blob[544:], ref)
		bad("size over a chunk", 0, blob[:64], sized(ref, MaxChunkSize+1))
		bad("padding not zero", 500, blob[500:], sized(ref, 515))
		return all
	})
	for _, v := range all {
		got, err := OpenRange(nil, v.Part, v.Ref, v.Offset)
		if v.Error == "" && (err != nil || !bytes.Equal(got, v.Plaintext)) || v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// FuzzOpenRange promises: no part crashes OpenRange, and what it gives is never
// more than lies in the part and in the plaintext.
func FuzzOpenRange(f *testing.F) {
	f.Add([]byte("part"), uint64(600), 3)
	f.Add([]byte{}, uint64(1<<64-1), -1)
	f.Fuzz(func(t *testing.T, part []byte, size uint64, offset int) {
		out, err := OpenRange(nil, part, Ref{Size: size}, offset)
		if err == nil && (len(out) > len(part) || uint64(len(out)) > size) {
			t.Fatalf("%d bytes of %d came out of %d", len(out), size, len(part))
		}
	})
}
