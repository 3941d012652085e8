package codec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// naive is an Eraser made from the text of docs/blobs.md alone.
type naive struct{ coding Coding }

func (n naive) Coding() Coding { return n.coding }

func (n naive) Add(parity [][]byte, place int, blob []byte) error {
	for r := range parity {
		factor := inverse(byte(n.coding.Data+r) ^ byte(place))
		var table [256]byte
		for b := range table {
			table[b] = times(byte(b), factor)
		}
		for i, b := range blob {
			parity[r][i] ^= table[b]
		}
	}
	return nil
}

// times multiplies in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.
func times(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a&0x80 != 0
		if a <<= 1; carry {
			a ^= 0x1d
		}
	}
	return p
}

func inverse(a byte) byte {
	for b := range 256 {
		if times(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	panic("zero has no inverse")
}

func TestCodedTreesOfAnyDepth(t *testing.T) {
	for _, coding := range []Coding{{2, 1}, {2, 4}, {3, 2}} {
		for _, maxRefs := range []int{3, 4} {
			for _, chunks := range []int{1, 2, 4, 5, 9, 13, 27} {
				size := chunks*chunk64 - 1000
				store := newBlobs()
				plain := testPlain(size)
				f, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: chunk64, Erasure: naive{coding}}, maxRefs)
				if err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprintf("%v, %d refs, %d chunks", coding, maxRefs, chunks)
				tr := &tree{store, f, uint64(maxRefs)}
				checkStripes(t, what, store, tr)
				ids, err := slice(tr.blobs(t.Context()))
				if err != nil || len(ids) != len(store.m) || len(store.puts) != len(store.m) {
					t.Errorf("%s: %d blobs listed, %d put, %d distinct: %v", what, len(ids), len(store.puts), len(store.m), err)
				}
				got := make([]byte, size)
				if _, err := newReader(t.Context(), store, f, uint64(maxRefs)).ReadAt(got, 0); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s: %v", what, err)
				}
				var all bytes.Buffer
				if _, err := newReader(t.Context(), store, f, uint64(maxRefs)).WriteTo(&all); err != nil || !bytes.Equal(all.Bytes(), plain) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
}

// checkStripes promises that stripes name every chunk and index blob but the
// root, with their lengths, and that their parity is what the text says.
func checkStripes(t *testing.T, what string, store *blobs, tr *tree) {
	t.Helper()
	data := map[blobnet.ID]bool{tr.file.Root.ID: true}
	all, err := slice(stripes(t.Context(), tr))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, s := range all {
		parity := make([][]byte, s.Coding.Parity)
		for i := range parity {
			parity[i] = make([]byte, s.Parity[i].Size)
		}
		for i, m := range s.Data {
			blob := store.m[m.ID]
			if len(blob) != m.Size {
				t.Errorf("%s: blob of level %d has %d bytes, said to be %d", what, s.Level, len(blob), m.Size)
			}
			data[m.ID] = true
			part := make([][]byte, len(parity))
			for j := range part {
				part[j] = parity[j][:len(blob)]
			}
			if err := (naive{s.Coding}).Add(part, i, blob); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range parity {
			if blobnet.Sum(p) != s.Parity[i].ID {
				t.Errorf("%s: parity %d of stripe %d of level %d is wrong", what, i, s.Number, s.Level)
			}
		}
	}
	wanted := 0
	w := walker{tree: tr, visit: func(ref Ref, _ int, _ uint64) bool {
		if wanted++; !data[ref.ID] {
			t.Errorf("%s: a blob is in no stripe", what)
		}
		return true
	}}
	if err := w.walk(t.Context()); err != nil || wanted != len(data) {
		t.Errorf("%s: %d blobs, %d in stripes: %v", what, wanted, len(data), err)
	}
}

func TestAnyCopyRestoresTheRoot(t *testing.T) {
	store := newBlobs()
	f, err := Encode(t.Context(), bytes.NewReader(testPlain(200_000)), store, Config{ChunkSize: chunk64, Erasure: naive{Coding{2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := RootCopies(t.Context(), store, f, nil)
	if err != nil || len(ids) != 3 {
		t.Fatalf("%d copies: %v", len(ids), err)
	}
	restored := 0
	for id, blob := range store.m {
		root, ok := RestoreRoot(f, blob)
		if ok != slices.Contains(ids, id) {
			t.Errorf("blob %s: %v", id.Short(), ok)
		}
		if ok {
			restored++
			if blobnet.Sum(root) != f.Root.ID {
				t.Error("another root")
			}
		}
	}
	if restored != 3 {
		t.Errorf("%d copies are stored", restored)
	}
}

func TestChildrenOfAnotherCodingAreRefused(t *testing.T) {
	h := newHostileTree(t)
	inner := h.putIndex(1, h.refs(2), 2*chunk64)
	for what, below := range map[string]Ref{"none": inner} {
		root, err := index{[]Ref{below, sized(below, chunk64)}, Coding{2, 1}, make([]blobnet.ID, 1)}.encode(2)
		if err != nil {
			t.Fatal(err)
		}
		f := File{Root: h.putPlain(root, 3*chunk64), Depth: 2, Size: 3 * chunk64}
		tr := &tree{h, f, 2}
		if _, err := slice(tr.chunks(context.Background(), 0)); !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := slice(stripes(context.Background(), tr)); err == nil {
			t.Errorf("%s: stripes of it", what)
		}
	}
}

type codedVector struct {
	Size      int          `json:"size"`
	ChunkSize int          `json:"chunkSize"`
	Data      int          `json:"data"`
	Parity    int          `json:"parity"`
	Depth     uint8        `json:"depth"`
	Root      Ref          `json:"root"`
	SHA256    Hash         `json:"sha256"`
	Copies    []blobnet.ID `json:"copies"`
	Stripe    []blobnet.ID `json:"firstStripe"`
	BlobCount int          `json:"blobCount"`
	BlobIDs   Hash         `json:"blobIDsSHA256"`
}

func TestVectorsCoded(t *testing.T) {
	vectors(t, "coded.json", func() (all []codedVector) {
		for _, c := range []struct{ size, chunk, data, parity int }{{0, 1 << 20, 2, 1}, {1000, 1 << 20, 10, 4}, {65_536, 65_536, 3, 2},
			{300_000, 65_536, 2, 4}, {1_000_000, 65_536, 10, 4}, {65 * 65_536, 65_536, 64, 32}, {1025*65_536 - 1, 65_536, 2, 1}} {
			store := newBlobs()
			coding := Coding{c.data, c.parity}
			f, err := Encode(t.Context(), bytes.NewReader(testPlain(c.size)), store, Config{ChunkSize: c.chunk, Rand: testKeys(), Erasure: naive{coding}})
			if err != nil {
				t.Fatal(err)
			}
			v := codedVector{Size: c.size, ChunkSize: c.chunk, Data: c.data, Parity: c.parity, Depth: f.Depth, Root: f.Root, SHA256: f.SHA256}
			if v.Copies, err = RootCopies(t.Context(), store, f, nil); err != nil {
				t.Fatal(err)
			}
			for s, err := range Stripes(t.Context(), store, f) {
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range append(s.Data, s.Parity...) {
					v.Stripe = append(v.Stripe, m.ID)
				}
				break
			}
			ids, err := slice(Blobs(t.Context(), store, f))
			if err != nil {
				t.Fatal(err)
			}
			v.BlobCount, v.BlobIDs = len(ids), Hash(sha256.Sum256(concat(ids)))
			all = append(all, v)
		}
		return all
	})
}

type codedIndexVector struct {
	Name      string       `json:"name"`
	Level     int          `json:"level"`
	Plaintext hexBytes     `json:"plaintext"`
	Refs      []Ref        `json:"refs,omitempty"`
	Data      int          `json:"data,omitempty"`
	Parity    int          `json:"parity,omitempty"`
	IDs       []blobnet.ID `json:"parityIDs,omitempty"`
	Error     string       `json:"error,omitempty"`
}

func TestVectorsCodedIndex(t *testing.T) {
	all := vectors(t, "codedindex.json", func() (all []codedIndexVector) {
		refs := []Ref{testRef(0, chunk64), testRef(1, chunk64), testRef(2, 5)}
		ids := make([]blobnet.ID, 4)
		for i := range ids {
			ids[i] = blobnet.ID(testPlainAt("id", 10+i))
		}
		add := func(name, bad string, in indexBlob) {
			plain, err := dcbor.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			v := codedIndexVector{Name: name, Level: 1, Plaintext: append(plain, make([]byte, PaddedSize(len(plain))-len(plain))...), Error: bad}
			if bad == "" {
				v.Refs, v.Data, v.Parity, v.IDs = refs, int(in.Data), int(in.Parity), ids[:len(in.IDs)/32]
			}
			all = append(all, v)
		}
		add("2+1", "", indexBlob{2, 1, refs, 2, 1, concat(ids[:2])})
		add("2+2", "", indexBlob{2, 1, refs, 2, 2, concat(ids)})
		add("10+4", "", indexBlob{2, 1, refs, 10, 4, concat(ids)})
		add("no parity", "index", indexBlob{2, 1, refs, 0, 0, nil})
		add("parity in format 1", "index", indexBlob{1, 1, refs, 2, 1, concat(ids[:2])})
		add("a data blob per stripe", "index", indexBlob{2, 1, refs, 1, 1, concat(ids[:3])})
		add("65 data blobs", "index", indexBlob{2, 1, refs, 65, 1, concat(ids[:1])})
		add("no parity blob", "index", indexBlob{2, 1, refs, 2, 0, nil})
		add("33 parity blobs", "index", indexBlob{2, 1, refs, 64, 33, make([]byte, 33*32)})
		add("more than twice as many", "index", indexBlob{2, 1, refs, 2, 5, make([]byte, 10*32)})
		add("2^64-1 parity blobs", "index", indexBlob{2, 1, refs, 2, 1<<64 - 1, concat(ids)})
		add("an id too few", "index", indexBlob{2, 1, refs, 2, 2, concat(ids[:3])})
		add("an id too many", "index", indexBlob{2, 1, refs, 2, 1, concat(ids[:3])})
		add("half an id", "index", indexBlob{2, 1, refs, 2, 1, concat(ids)[:48]})
		return all
	})
	for _, v := range all {
		x, err := parseIndex(v.Plaintext, v.Level)
		if v.Error == "" && (err != nil || !equalRefs(x.refs, v.Refs) || x.coding != Coding{v.Data, v.Parity} || !slices.Equal(x.parity, v.IDs)) ||
			v.Error != "" && errorName(err) != v.Error {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
