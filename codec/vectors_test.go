package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// The vectors are for every implementation of docs/blobs.md; testdata/README.md
// says how to read them. A change to one that was released is a new format.
var update = flag.Bool("update", false, "write testdata/vectors again")

// hexBytes is a byte string, in hex in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// errorName is how a vector names the error that is wanted.
func errorName(err error) string {
	for name, sentinel := range map[string]error{"sealed": ErrSealed, "padding": ErrPadding, "index": ErrIndex, "inventory": ErrInventory} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	return fmt.Sprint(err)
}

// vectors compares what make returns with the committed file, or writes it.
func vectors[V any](t *testing.T, name string, make func() []V) []V {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	want, err := json.MarshalIndent(make(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes: the format changed", path)
	}
	var all []V
	if err := json.Unmarshal(got, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

type padmeVector struct {
	Length int `json:"length"`
	Padme  int `json:"padme"`
	Sealed int `json:"sealed"`
}

func TestVectorsPadme(t *testing.T) {
	vectors(t, "padme.json", func() (all []padmeVector) {
		for _, n := range []int{0, 1, 2, 9, 100, 511, 512, 513, 1000, 1024, 1025, 4097, 65_535, 65_536, 65_537, 100_000,
			118_800, 1_000_000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1_500_000, 2<<20 - 1, 2 << 20} {
			all = append(all, padmeVector{n, Padme(n), PaddedSize(n)})
		}
		return all
	})
}

type sealVector struct {
	Name      string   `json:"name"`
	Ref       Ref      `json:"ref"`
	Blob      hexBytes `json:"blob"`
	Plaintext hexBytes `json:"plaintext"`
	Error     string   `json:"error,omitempty"`
}

func TestVectorsSeal(t *testing.T) {
	all := vectors(t, "seal.json", func() (all []sealVector) {
		for i, n := range []int{0, 1, 512, 513} {
			key := Key(testPlainAt("key", i))
			blob, _ := Seal(nil, testPlain(n), key)
			all = append(all, sealVector{fmt.Sprintf("%d bytes", n), MakeRef(blob, key, uint64(n)), blob, testPlain(n), ""})
		}
		good := all[1]
		bad := func(name, err string, blob []byte, change func(*Ref)) {
			ref := MakeRef(blob, good.Ref.Key, good.Ref.Size)
			if change != nil {
				change(&ref)
			}
			all = append(all, sealVector{name, ref, blob, nil, err})
		}
		flipped := bytes.Clone(good.Blob)
		flipped[100] ^= 1
		bad("flipped bit", "sealed", flipped, nil)
		bad("truncated", "sealed", good.Blob[:500], nil)
		bad("shorter than a tag", "sealed", good.Blob[:15], nil)
		bad("wrong key", "sealed", good.Blob, func(r *Ref) { r.Key[0] ^= 1 })
		padded := make([]byte, 1024)
		bad("padded too far", "padding", sealPadded(padded, good.Ref.Key), nil)
		bad("not padded", "padding", sealPadded(padded[:1], good.Ref.Key), nil)
		padded[511] = 1
		bad("padding not zero", "padding", sealPadded(padded[:512], good.Ref.Key), nil)
		bad("size over a chunk", "padding", good.Blob, func(r *Ref) { r.Size = MaxChunkSize + 1 })
		bad("size of 2^64-1", "padding", good.Blob, func(r *Ref) { r.Size = 1<<64 - 1 })
		return all
	})
	for _, v := range all {
		got, err := Open(nil, v.Blob, v.Ref)
		if v.Error == "" && (err != nil || !bytes.Equal(got, v.Plaintext) || MakeRef(v.Blob, v.Ref.Key, v.Ref.Size) != v.Ref) ||
			v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// testPlainAt returns the nth 32 bytes of a stream.
func testPlainAt(label string, n int) []byte {
	b := make([]byte, 32)
	io.ReadFull(&stream{label: "aml test " + label, next: uint64(n)}, b)
	return b
}

func testRef(n int, size uint64) Ref {
	return Ref{ID: blobnet.ID(testPlainAt("id", n)), Key: Key(testPlainAt("key", n)), Size: size, Tree: Hash(testPlainAt("tree", n))}
}

type indexVector struct {
	Name      string   `json:"name"`
	Level     int      `json:"level"`
	Plaintext hexBytes `json:"plaintext"`
	Refs      []Ref    `json:"refs,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func TestVectorsIndex(t *testing.T) {
	all := vectors(t, "index.json", func() (all []indexVector) {
		pad := func(b []byte, n int) []byte { return append(bytes.Clone(b), make([]byte, n-len(b))...) }
		encode := func(v any) []byte {
			b, err := dcbor.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		refs := []Ref{testRef(0, 1<<20), testRef(1, 1<<20), testRef(2, 5)}
		for level := 1; level <= MaxDepth; level++ {
			all = append(all, indexVector{fmt.Sprintf("level %d", level), level, pad(encode(indexBlob{Format: 1, Level: uint64(level), Refs: refs}), MinPadded), refs, ""})
		}
		bad := func(name string, level int, plain []byte) {
			all = append(all, indexVector{name, level, plain, nil, "index"})
		}
		good := encode(indexBlob{Format: 1, Level: 1, Refs: refs})
		bad("level 1 where level 2 must be", 2, all[0].Plaintext)
		bad("level 0", 0+1, pad(encode(indexBlob{Format: 1, Level: 0, Refs: refs}), MinPadded))
		bad("format 0", 1, pad(encode(indexBlob{Format: 0, Level: 1, Refs: refs}), MinPadded))
		bad("format 2", 1, pad(encode(indexBlob{Format: 2, Level: 1, Refs: refs}), MinPadded))
		bad("no refs", 1, pad(encode(indexBlob{Format: 1, Level: 1, Refs: nil}), MinPadded))
		bad("not padded", 1, good)
		bad("padded too far", 1, pad(good, 544))
		marked := pad(good, MinPadded)
		marked[MinPadded-1] = 1
		bad("padding not zero", 1, marked)
		bad("zeros", 1, make([]byte, MinPadded))
		bad("empty", 1, []byte{})
		bad("refs in an indefinite array", 1, pad(append(append(append(bytes.Clone(good[:6]), 0x9f), good[7:]...), 0xff), MinPadded))
		bad("format in two bytes", 1, pad(append([]byte{good[0], good[1], 0x18, 1}, good[3:]...), MinPadded))
		bad("keys out of order", 1, pad(append([]byte{0xa3, 2, 1, 1, 1}, good[5:]...), MinPadded))
		bad("a key twice", 1, pad(append([]byte{0xa4, 1, 1}, good[1:]...), MinPadded))
		bad("an unknown key", 1, pad(append(append([]byte{0xa4}, good[1:]...), 4, 0), MinPadded))
		bad("no level", 1, pad(append([]byte{0xa2, 1, 1}, good[5:]...), MinPadded))
		short := encode(map[int]any{1: 1, 2: 1, 3: []any{map[int]any{1: make([]byte, 31), 2: make([]byte, 32), 3: 5, 4: make([]byte, 32)}}})
		bad("an id of 31 bytes", 1, pad(short, MinPadded))
		bad("a negative size", 1, pad(encode(map[int]any{1: 1, 2: 1, 3: []any{map[int]any{1: make([]byte, 32), 2: make([]byte, 32), 3: -1, 4: make([]byte, 32)}}}), MinPadded))
		bad("a tag", 1, pad(append([]byte{0xd9, 0xd9, 0xf7}, good...), MinPadded))
		return all
	})
	for _, v := range all {
		x, err := parseIndex(v.Plaintext, v.Level)
		if v.Error == "" && (err != nil || !equalRefs(x.refs, v.Refs)) || v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func equalRefs(a, b []Ref) bool {
	for i := range a {
		if len(a) != len(b) || a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

type treeVector struct {
	Name      string   `json:"name"`
	Size      uint64   `json:"size"`
	Depth     uint8    `json:"depth"`
	Sizes     []uint64 `json:"rootRefSizes"`
	ChunkSize uint64   `json:"chunkSize,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func TestVectorsTree(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	all := vectors(t, "tree.json", func() []treeVector {
		return []treeVector{
			{"two chunks", 2 * mib, 1, []uint64{mib, mib}, mib, ""},
			{"one byte in the last", 2*mib + 1, 1, []uint64{mib, mib, 1}, mib, ""},
			{"least chunks", 65_537, 1, []uint64{65_536, 1}, 65_536, ""},
			{"largest chunks", 5 * mib, 1, []uint64{2 * mib, 2 * mib, mib}, 2 * mib, ""},
			{"depth 2", gib + 1, 2, []uint64{gib, 1}, mib, ""},
			{"depth 3", 1<<40 + 5, 3, []uint64{1 << 40, 5}, mib, ""},
			{"a single ref", mib, 1, []uint64{mib}, 0, "index"},
			{"no refs", 2 * mib, 1, []uint64{}, 0, "index"},
			{"depth 2 for a file of depth 1", 2 * mib, 2, []uint64{mib, mib}, 0, "index"},
			{"short chunk before the last", 2 * mib, 1, []uint64{mib, mib - 1, 1}, 0, "index"},
			{"empty chunk at the end", 2 * mib, 1, []uint64{mib, mib, 0}, 0, "index"},
			{"sum under the size", 3 * mib, 1, []uint64{mib, mib}, 0, "index"},
			{"sum over the size", 2 * mib, 1, []uint64{mib, mib, mib}, 0, "index"},
			{"sum that wraps around to the size", 2 * mib, 1, []uint64{mib, 1<<64 - mib, mib, mib}, 0, "index"},
			{"chunks of 32 KiB", 65_537, 1, []uint64{32_768, 32_768, 1}, 0, "index"},
			{"chunks of 4 MiB", 8 * mib, 1, []uint64{4 * mib, 4 * mib}, 0, "index"},
			{"chunks of 3 * 64 KiB", 6 * 65_536, 1, []uint64{3 * 65_536, 3 * 65_536}, 0, "index"},
			{"depth 4", 1 << 51, 4, []uint64{1 << 50, 1 << 50}, 0, "index"},
			{"over the largest file", 1<<51 + 1, 3, []uint64{1 << 51, 1}, 0, "index"},
		}
	})
	for _, v := range all {
		var refs []Ref
		for i, size := range v.Sizes {
			refs = append(refs, testRef(i, size))
		}
		store := newBlobs()
		f := File{Root: store.putIndex(int(v.Depth), refs, v.Size), Depth: v.Depth, Size: v.Size}
		tr := &tree{store, f, MaxRefs}
		err := f.Validate()
		var s shape
		if err == nil {
			_, s, err = tr.loadRoot(t.Context())
		}
		if v.Error == "" && (err != nil || s.chunkSize != v.ChunkSize) || v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: chunk size %d, %v", v.Name, s.chunkSize, err)
		}
	}
}

type fileVector struct {
	Size      int   `json:"size"`
	ChunkSize int   `json:"chunkSize"`
	SHA256    Hash  `json:"sha256"`
	Depth     uint8 `json:"depth"`
	Root      Ref   `json:"root"`
	BlobCount int   `json:"blobCount"`
	BlobIDs   Hash  `json:"blobIDsSHA256"`
}

func TestVectorsFile(t *testing.T) {
	vectors(t, "file.json", func() (all []fileVector) {
		for _, c := range []struct{ size, chunk int }{{0, 1 << 20}, {1, 1 << 20}, {65_536, 65_536}, {65_537, 65_536}, {1 << 20, 1 << 20},
			{3<<20 + 7, 1 << 20}, {5 << 20, 2 << 20}, {1024 * 65_536, 65_536}, {1025*65_536 - 1, 65_536}} {
			store := newBlobs()
			f, err := Encode(t.Context(), bytes.NewReader(testPlain(c.size)), store, Config{ChunkSize: c.chunk, Rand: testKeys()})
			if err != nil {
				t.Fatal(err)
			}
			ids, err := slice(Blobs(t.Context(), store, f))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fileVector{c.size, c.chunk, f.SHA256, f.Depth, f.Root, len(ids), Hash(sha256.Sum256(concat(ids)))})
		}
		return all
	})
}

type inventoryVector struct {
	Name  string       `json:"name"`
	Blob  hexBytes     `json:"blob"`
	ID    blobnet.ID   `json:"id"`
	IDs   []blobnet.ID `json:"ids,omitempty"`
	Error string       `json:"error,omitempty"`
}

func TestVectorsInventory(t *testing.T) {
	all := vectors(t, "inventory.json", func() (all []inventoryVector) {
		ids := make([]blobnet.ID, 3)
		for i := range ids {
			ids[i] = blobnet.ID(testPlainAt("id", i))
			ids[i][0] = byte(i)
		}
		add := func(name string, err string, in inventory, ids ...blobnet.ID) {
			blob, e := dcbor.Marshal(in)
			if e != nil {
				t.Fatal(e)
			}
			all = append(all, inventoryVector{name, blob, blobnet.Sum(blob), ids, err})
		}
		add("one", "", inventory{1, 0, concat(ids[:1])}, ids[0])
		add("three", "", inventory{1, 0, concat(ids)}, ids...)
		add("none", "inventory", inventory{1, 0, nil})
		add("format 2", "inventory", inventory{2, 0, concat(ids)})
		add("level 4", "inventory", inventory{1, 4, concat(ids)})
		add("an id and a half", "inventory", inventory{1, 0, concat(ids)[:48]})
		add("an id twice", "inventory", inventory{1, 0, concat([]blobnet.ID{ids[0], ids[0]})})
		add("descending", "inventory", inventory{1, 0, concat([]blobnet.ID{ids[1], ids[0]})})
		add("level 1 with a single id", "inventory", inventory{1, 1, concat(ids[:1])})
		blob := append(bytes.Clone(all[1].Blob), 0)
		all = append(all, inventoryVector{"a byte behind the end", blob, blobnet.Sum(blob), nil, "inventory"})
		return all
	})
	for _, v := range all {
		store := newBlobs()
		store.m[v.ID] = v.Blob
		ids, err := slice(Inventory(t.Context(), store, v.ID))
		if v.Error == "" && (err != nil || !bytes.Equal(concat(ids), concat(v.IDs))) || v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
