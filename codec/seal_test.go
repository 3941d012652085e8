package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"lukechampine.com/blake3"
	"pgregory.net/rapid"
)

// sealPadded seals exactly padded, as only a hostile publisher does.
func sealPadded(padded []byte, key Key) []byte {
	return newAEAD(key).Seal(nil, make([]byte, 12), padded, nil)
}

func TestPadmeHidesAllButTheHighBits(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 8: 8, 9: 10, 15: 16, 100: 104, 513: 544, 1000: 1024, 65_537: 67_584,
		1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15, 2 << 20: 2 << 20} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
	for n, want := range map[int]int{0: 512, 1: 512, 512: 512, 513: 544, 1 << 20: 1 << 20} {
		if got := PaddedSize(n); got != want {
			t.Errorf("PaddedSize(%d) = %d, want %d", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, MaxChunkSize).Draw(t, "n")
		p := Padme(n)
		if p < n || Padme(p) != p || Padme(n-1) > p || float64(p) > float64(n)*1.12 {
			t.Fatalf("Padme(%d) = %d", n, p)
		}
		exponent := bits.Len(uint(p)) - 1
		if significant := bits.Len(uint(p) >> bits.TrailingZeros(uint(p))); significant > bits.Len(uint(exponent))+1 {
			t.Fatalf("Padme(%d) = %b: %d significant bits", n, p, significant)
		}
	})
}

func TestHashBlobIsSHA256AndBLAKE3(t *testing.T) {
	data := testPlain(300_000)
	check := func(n int) {
		id, tree := hashBlob(data[:n])
		if id != blobnet.Sum(data[:n]) {
			t.Errorf("%d bytes: wrong SHA-256", n)
		}
		if tree != blake3.Sum256(data[:n]) {
			t.Errorf("%d bytes: wrong BLAKE3", n)
		}
	}
	for _, edge := range []int{0, 64, 1024, 2048, 3 * 1024, 15 * 1024, group, 2 * group, 3 * group, 4 * group, 7 * group, 16 * group} {
		for n := max(0, edge-1); n <= edge+17; n++ {
			check(n)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(rapid.IntRange(0, len(data)).Draw(t, "n")) })
}

func TestSealedComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "plain")
		key := Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		dst := append(make([]byte, 0, rapid.IntRange(0, 8000).Draw(t, "room")), "before"...)
		blob, err := Seal(dst, plain, key)
		if err != nil || string(blob[:6]) != "before" {
			t.Fatal(err, blob[:6])
		}
		blob = blob[6:]
		if len(blob) != PaddedSize(len(plain))+Overhead {
			t.Fatalf("%d bytes became %d", len(plain), len(blob))
		}
		ref := MakeRef(blob, key, uint64(len(plain)))
		got, err := Open([]byte("before"), blob, ref)
		if err != nil || !bytes.Equal(got[6:], plain) {
			t.Fatal(err, "other bytes")
		}
		got, err = Open(blob[:0], blob, ref)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatal(err, "other bytes in place")
		}
	})
}

func TestSealRefusesMoreThanAChunk(t *testing.T) {
	if _, err := Seal(nil, make([]byte, MaxChunkSize+1), Key{}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	blob, err := Seal(nil, make([]byte, MaxChunkSize), Key{})
	if err != nil || len(blob) > blobnet.MaxBlobSize {
		t.Error(len(blob), err)
	}
}

func TestBlobThatWasChangedDoesNotOpen(t *testing.T) {
	plain := testPlain(1000)
	blob, _ := Seal(nil, plain, Key{1})
	other, _ := Seal(nil, testPlain(900), Key{2})
	ref := MakeRef(blob, Key{1}, 1000)
	flipped := func(i int) []byte {
		b := bytes.Clone(blob)
		b[i] ^= 1
		return b
	}
	for what, b := range map[string][]byte{
		"nothing":               {},
		"less than a tag":       blob[:15],
		"a tag alone":           blob[:16],
		"cut by a byte":         blob[:len(blob)-1],
		"cut at the front":      blob[1:],
		"longer by a byte":      append(bytes.Clone(blob), 0),
		"first bit flipped":     flipped(0),
		"bit in pad flipped":    flipped(1010),
		"bit in the tag":        flipped(len(blob) - 1),
		"another blob":          other,
		"over the blob limit":   make([]byte, blobnet.MaxBlobSize+1),
		"zeros, largest length": make([]byte, blobnet.MaxBlobSize),
	} {
		if got, err := Open(nil, b, ref); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	wrong := ref
	wrong.Key[31]++
	if _, err := Open(nil, blob, wrong); !errors.Is(err, ErrSealed) {
		t.Errorf("wrong key: %v", err)
	}
}

func TestPaddingThatLiesIsRefused(t *testing.T) {
	key := Key{7}
	marked := func(n, at int) []byte {
		b := make([]byte, n)
		b[at] = 1
		return b
	}
	for _, c := range []struct {
		what   string
		padded []byte
		size   uint64
	}{
		{"not padded at all", make([]byte, 1000), 1000},
		{"padded too far", make([]byte, 2048), 1000},
		{"one byte short", make([]byte, 1023), 1000},
		{"under the least length", make([]byte, 100), 100},
		{"first padding byte not zero", marked(1024, 1000), 1000},
		{"last padding byte not zero", marked(1024, 1023), 1000},
		{"far padding byte not zero", marked(Padme(1_000_000), Padme(1_000_000)-5000), 1_000_000},
		{"size over a chunk", make([]byte, MaxChunkSize), MaxChunkSize + 1},
		{"size over an int", make([]byte, 1024), 1 << 63},
		{"size of 2^64-1", make([]byte, 1024), 1<<64 - 1},
		{"larger than any chunk", make([]byte, MaxChunkSize+48), MaxChunkSize + 48},
	} {
		blob := sealPadded(c.padded, key)
		if _, err := Open(nil, blob, MakeRef(blob, key, c.size)); !errors.Is(err, ErrPadding) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestKeysDoNotReachALog(t *testing.T) {
	key := Key{0xab, 0xcd, 0xef}
	ref := Ref{Key: key, Size: 77}
	file := File{Root: ref, Size: 77}
	var b64 = base64.StdEncoding.EncodeToString(key[:])
	check := func(how string, v any, s string) {
		t.Helper()
		for _, secret := range []string{"abcd", "ABCD", "171", "0xab", "253 315", "10101011", b64[:4]} {
			if strings.Contains(s, secret) {
				t.Errorf("%s of %T: %s", how, v, s)
			}
		}
	}
	values := []any{key, &key, ref, &ref, file, &file}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "% x", "%o", "%b"} {
		for _, v := range append(values, []Key{key}, []Ref{ref}) {
			check(format, v, fmt.Sprintf(format, v))
		}
	}
	for _, v := range values {
		var buf bytes.Buffer
		// Without the time, whose digits may be those of the key.
		timeless := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}
		for _, h := range []slog.Handler{slog.NewTextHandler(&buf, timeless), slog.NewJSONHandler(&buf, timeless)} {
			slog.New(h).Info("message", "value", v, slog.Group("g", "value", v))
			check(fmt.Sprintf("%T", h), v, buf.String())
			if _, isKey := v.(Key); !isKey && v != &key && !strings.Contains(buf.String(), "77") {
				t.Errorf("%T of %T says nothing: %s", h, v, buf.String())
			}
			buf.Reset()
		}
	}
	// The human JSON of a Ref has to have it.
	text, err := json.Marshal(ref)
	if err != nil || !strings.Contains(string(text), "abcdef00") {
		t.Errorf("JSON is %s, %v", text, err)
	}
}
