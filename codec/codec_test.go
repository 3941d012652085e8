package codec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"testing"
	"testing/iotest"

	"github.com/anonymous-media-library/aml/blobnet"
	"pgregory.net/rapid"
)

func TestFileComesBackAsItWas(t *testing.T) {
	sizes := []int{0, 1, 511, 512, 513, 4095, MinChunkSize - 1, MinChunkSize, MinChunkSize + 1,
		2 * MinChunkSize, 3*MinChunkSize - 1, 4 * MinChunkSize, 4*MinChunkSize + 1, 16*MinChunkSize + 5, 17 * MinChunkSize}
	for _, size := range sizes {
		for _, maxRefs := range []int{2, 4, MaxRefs} {
			plain := testPlain(size)
			store := newBlobs()
			f, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: MinChunkSize, Workers: 3}, maxRefs)
			chunks := max(1, (size+MinChunkSize-1)/MinChunkSize)
			if limit := maxRefs * maxRefs * maxRefs; chunks > limit {
				if err == nil {
					t.Errorf("%d chunks with %d refs in an index were accepted", chunks, maxRefs)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Size != uint64(size) || f.SHA256 != sha256.Sum256(plain) {
				t.Errorf("size %d: wrong size or hash", size)
			}
			if err := f.validate(uint64(maxRefs)); err != nil {
				t.Errorf("size %d: %v", size, err)
			}
			for _, onlyReader := range []bool{false, true} {
				r := newReader(t.Context(), store, f, uint64(maxRefs))
				var from io.Reader = r
				if onlyReader {
					from = struct{ io.Reader }{r}
				}
				var got bytes.Buffer
				if _, err := io.Copy(&got, from); err != nil {
					t.Fatalf("size %d, %d refs: %v", size, maxRefs, err)
				}
				if !bytes.Equal(got.Bytes(), plain) {
					t.Errorf("size %d, %d refs: other bytes", size, maxRefs)
				}
			}
			checkTree(t, store, f, maxRefs, chunks)
		}
	}
}

// checkTree promises that Chunks tile the file and Blobs names every blob once.
func checkTree(t *testing.T, store *blobs, f File, maxRefs, chunks int) {
	t.Helper()
	tr := &tree{store, f, uint64(maxRefs)}
	listed, err := slice(tr.chunks(t.Context(), 0))
	if err != nil || len(listed) != chunks {
		t.Fatalf("%d chunks, want %d: %v", len(listed), chunks, err)
	}
	offset := uint64(0)
	for i, chunk := range listed {
		if chunk.Index != uint64(i) || chunk.Offset != offset {
			t.Errorf("chunk %d: index %d, offset %d, want offset %d", i, chunk.Index, chunk.Offset, offset)
		}
		offset += chunk.Ref.Size
	}
	if offset != f.Size {
		t.Errorf("chunks end at %d of %d", offset, f.Size)
	}
	ids, err := slice(tr.blobs(t.Context()))
	if err != nil || len(ids) != len(store.m) {
		t.Fatalf("%d blobs listed, %d stored, %v", len(ids), len(store.m), err)
	}
	if ids[0] != f.Root.ID {
		t.Error("the root does not come first")
	}
	seen := map[blobnet.ID]bool{}
	for _, id := range ids {
		if seen[id] || store.m[id] == nil {
			t.Errorf("blob %s twice, or not stored", id.Short())
		}
		seen[id] = true
	}
	from, err := slice(tr.chunks(t.Context(), f.Size/2))
	if want := listed[min(int(f.Size/2/MinChunkSize), chunks-1):]; err != nil || len(want) != len(from) && f.Size > 0 {
		t.Errorf("%d chunks from the middle, want %d, %v", len(from), len(want), err)
	}
}

func TestReaderIsAReader(t *testing.T) {
	plain := testPlain(3*MinChunkSize + 77)
	store := newBlobs()
	f, err := Encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: MinChunkSize})
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(NewReader(t.Context(), store, f), plain); err != nil {
		t.Error(err)
	}
}

// TestReaderIsAsGoodAsAFile compares a Reader with a bytes.Reader under random
// use.
func TestReaderIsAsGoodAsAFile(t *testing.T) {
	plain := testPlain(9*MinChunkSize + 1234)
	store := newBlobs()
	f, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: MinChunkSize}, 3)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		got, want := newReader(context.Background(), store, f, 3), bytes.NewReader(plain)
		a, b := make([]byte, 5*MinChunkSize), make([]byte, 5*MinChunkSize)
		offset := func(t *rapid.T) int64 {
			if rapid.Bool().Draw(t, "aligned") {
				return int64(rapid.IntRange(0, 10).Draw(t, "chunk")) * MinChunkSize
			}
			return rapid.Int64Range(0, int64(len(plain))+5).Draw(t, "offset")
		}
		length := func(t *rapid.T) int { return rapid.IntRange(0, len(a)).Draw(t, "length") }
		t.Repeat(map[string]func(*rapid.T){
			"ReadAt": func(t *rapid.T) {
				off, n := offset(t), length(t)
				gn, gerr := got.ReadAt(a[:n], off)
				wn, werr := want.ReadAt(b[:n], off)
				if gn != wn || gerr != werr || !bytes.Equal(a[:gn], b[:wn]) {
					t.Fatalf("ReadAt(%d, %d) = %d, %v, want %d, %v", n, off, gn, gerr, wn, werr)
				}
			},
			"Read": func(t *rapid.T) {
				n := max(1, length(t))
				gn, gerr := got.Read(a[:n])
				wn, werr := want.Read(b[:n])
				if gn != wn || gerr != werr || !bytes.Equal(a[:gn], b[:wn]) {
					t.Fatalf("Read(%d) = %d, %v, want %d, %v", n, gn, gerr, wn, werr)
				}
			},
			"Seek": func(t *rapid.T) {
				off, whence := offset(t), rapid.IntRange(0, 2).Draw(t, "whence")
				if whence == io.SeekEnd {
					off = -off
				}
				gn, gerr := got.Seek(off, whence)
				wn, werr := want.Seek(off, whence)
				if gn != wn || (gerr == nil) != (werr == nil) {
					t.Fatalf("Seek(%d, %d) = %d, %v, want %d, %v", off, whence, gn, gerr, wn, werr)
				}
			},
			"WriteTo": func(t *rapid.T) {
				var g, w bytes.Buffer
				gn, gerr := got.WriteTo(&g)
				wn, werr := want.WriteTo(&w)
				if gn != wn || gerr != werr || !bytes.Equal(g.Bytes(), w.Bytes()) {
					t.Fatalf("WriteTo = %d, %v, want %d, %v", gn, gerr, wn, werr)
				}
			},
		})
	})
}
