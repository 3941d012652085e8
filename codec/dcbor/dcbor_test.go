package dcbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type inner struct {
	Hash [4]byte `cbor:"1,keyasint"`
	N    uint64  `cbor:"2,keyasint"`
}

type outer struct {
	Format uint64            `cbor:"1,keyasint"`
	Name   string            `cbor:"2,keyasint"`
	Bytes  []byte            `cbor:"3,keyasint,omitempty"`
	List   []inner           `cbor:"4,keyasint"`
	Attrs  map[string]string `cbor:"5,keyasint,omitempty"`
	Next   *inner            `cbor:"6,keyasint,omitempty"`
	Time   int64             `cbor:"7,keyasint"`
	Flag   bool              `cbor:"8,keyasint,omitempty"`
	Small  uint8             `cbor:"300,keyasint,omitempty"`
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMarshalWritesTheseVeryBytes(t *testing.T) {
	got, err := Marshal(outer{Format: 1, Name: "é", List: []inner{{Hash: [4]byte{1, 2, 3, 4}, N: 256}},
		Attrs: map[string]string{"b": "1", "aa": "2"}, Time: -1})
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "a5 01 01 02 62c3a9 04 81 a2 01 44 01020304 02 19 0100 05 a2 61 62 61 31 62 6161 61 32 07 20")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestNilAndEmptySliceAreOneEncoding(t *testing.T) {
	a, err := Marshal(outer{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Marshal(outer{List: []inner{}, Bytes: []byte{}, Attrs: map[string]string{}})
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("%x and %x, %v", a, b, err)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	deep := strings.Repeat("81", MaxDepth+1) + "00"
	for _, c := range []struct {
		what, hex string
		err       error
	}{
		{"nothing", "", ErrMalformed},
		{"trailing byte", "a4 01 01 02 60 04 80 07 00 00", ErrMalformed},
		{"cut in a head", "19 01", ErrMalformed},
		{"cut in a string", "43 0102", ErrMalformed},
		{"string of 2^64-1 bytes", "5b ffffffffffffffff", ErrMalformed},
		{"array of 2^64-1 elements", "9b ffffffffffffffff", ErrMalformed},
		{"array over the element limit", "9a 00010000", ErrMalformed},
		{"map over the pair limit", "ba 00010000", ErrMalformed},
		{"too deep", deep, ErrMalformed},
		{"reserved length", "1c", ErrMalformed},
		{"break alone", "ff", ErrMalformed},
		{"tag", "c1 00", ErrMalformed},
		{"half float", "f9 3c00", ErrMalformed},
		{"double", "fb 3ff0000000000000", ErrMalformed},
		{"null", "f6", ErrMalformed},
		{"undefined", "f7", ErrMalformed},
		{"simple value", "f8 ff", ErrMalformed},
		{"text that is not UTF-8", "a4 01 01 02 61 ff 04 80 07 00", ErrMalformed},
		{"indefinite map", "bf ff", ErrNotCanonical},
		{"indefinite bytes", "5f 41 00 ff", ErrNotCanonical},
		{"1 in two bytes", "a4 01 18 01 02 60 04 80 07 00", ErrNotCanonical},
		{"255 in three bytes", "19 00ff", ErrNotCanonical},
		{"65535 in five bytes", "1a 0000ffff", ErrNotCanonical},
		{"2^32-1 in nine bytes", "1b 00000000ffffffff", ErrNotCanonical},
		{"length in two bytes", "a4 01 01 02 78 01 61 04 80 07 00", ErrNotCanonical},
		{"keys out of order", "a4 02 60 01 01 04 80 07 00", ErrNotCanonical},
		{"key twice", "a5 01 01 01 01 02 60 04 80 07 00", ErrNotCanonical},
		{"attrs by length first wrongly", "a5 01 01 02 60 04 80 05 a2 62 6161 60 61 62 60 07 00", ErrNotCanonical},
		{"field missing", "a3 01 01 02 60 04 80", ErrNotCanonical},
		{"omitempty field there but empty", "a5 01 01 02 60 03 40 04 80 07 00", ErrNotCanonical},
		{"hash too short", "a4 01 01 02 60 04 81 a2 01 43 010203 02 00 07 00", ErrNotCanonical},
		{"hash too long", "a4 01 01 02 60 04 81 a2 01 45 0102030405 02 00 07 00", ErrNotCanonical},
		{"null for a pointer", "a5 01 01 02 60 04 80 06 f6 07 00", ErrMalformed},
		{"unknown integer key", "a5 01 01 02 60 04 80 07 00 09 00", ErrMalformed},
		{"unknown text key", "a5 01 01 02 60 04 80 07 00 61 61 00", ErrMalformed},
		{"field name as key", "a5 01 01 02 60 04 80 07 00 66 466f726d6174 00", ErrMalformed},
		{"bytes for text", "a4 01 01 02 41 61 04 80 07 00", ErrMalformed},
		{"text for bytes", "a5 01 01 02 60 03 61 61 04 80 07 00", ErrMalformed},
		{"negative for unsigned", "a4 01 20 02 60 04 80 07 00", ErrMalformed},
		{"array for a struct", "81 01", ErrMalformed},
		{"256 into a uint8", "a5 01 01 02 60 04 80 07 00 19 012c 19 0100", ErrMalformed},
		{"2^63 into an int64", "a4 01 01 02 60 04 80 07 1b 8000000000000000", ErrMalformed},
	} {
		var v outer
		err := Unmarshal(unhex(t, c.hex), &v)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.err)
		}
		if errors.Is(err, ErrMalformed) && errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: both sentinels: %v", c.what, err)
		}
	}
}

func TestMarshalRefusesWhatUnmarshalWould(t *testing.T) {
	type nest struct {
		Next *nest `cbor:"1,keyasint,omitempty"`
	}
	deep := &nest{}
	for range MaxDepth {
		deep = &nest{deep}
	}
	for what, v := range map[string]any{
		"float":       1.5,
		"infinity":    math.Inf(1),
		"nil":         nil,
		"nil pointer": (*outer)(nil),
		"bad text":    "\xff",
		"too deep":    deep,
		"too many":    make([]uint8T, MaxElements+1),
		"channel":     make(chan int),
	} {
		if _, err := Marshal(v); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

type uint8T struct{}

func TestLimitsAreInclusive(t *testing.T) {
	data, err := Marshal(make([]bool, MaxElements))
	if err != nil {
		t.Fatal(err)
	}
	var back []bool
	if err := Unmarshal(data, &back); err != nil {
		t.Error(err)
	}
	var v [][][][][][][][]uint64 // MaxDepth arrays
	data = unhex(t, strings.Repeat("81", MaxDepth)+"00")
	if err := Unmarshal(data, &v); err != nil {
		t.Error(err)
	}
}

func TestWhatUnmarshalReturnsDoesNotAliasItsInput(t *testing.T) {
	data, err := Marshal([]byte("abc"))
	if err != nil {
		t.Fatal(err)
	}
	var v []byte
	if err := Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if string(v) != "abc" {
		t.Errorf("got %q", v)
	}
}

func TestAnyValueComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hash := rapid.Custom(func(t *rapid.T) inner {
			return inner{Hash: [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "hash")), N: rapid.Uint64().Draw(t, "n")}
		})
		in := outer{
			Format: rapid.Uint64().Draw(t, "format"),
			Name:   strings.ToValidUTF8(rapid.String().Draw(t, "name"), "?"),
			Bytes:  rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"),
			List:   rapid.SliceOfN(hash, 0, 30).Draw(t, "list"),
			Attrs:  rapid.MapOf(rapid.StringMatching(`[a-z]{0,40}`), rapid.StringMatching(`\w*`)).Draw(t, "attrs"),
			Time:   rapid.Int64().Draw(t, "time"),
			Flag:   rapid.Bool().Draw(t, "flag"),
			Small:  rapid.Uint8().Draw(t, "small"),
		}
		data, err := Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out outer
		if err := Unmarshal(data, &out); err != nil {
			t.Fatal(err)
		}
		if len(in.Bytes) == 0 {
			in.Bytes, out.Bytes = nil, nil
		}
		if len(in.Attrs) == 0 {
			in.Attrs, out.Attrs = nil, nil
		}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("%+v became %+v", in, out)
		}
	})
}

// FuzzUnmarshal promises: no bytes crash it, and what it accepts is encoded to
// the same bytes again.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xa4, 1, 1, 2, 0x60, 4, 0x80, 7, 0})
	f.Add([]byte{0xa1, 0x61, 0x61, 0x81, 0x20})
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var typed outer
		if Unmarshal(data, &typed) == nil {
			again, err := Marshal(typed)
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("typed: %x became %x, %v", data, again, err)
			}
		}
		var open any
		if Unmarshal(data, &open) == nil {
			again, err := Marshal(open)
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("open: %x became %x, %v", data, again, err)
			}
		}
	})
}
