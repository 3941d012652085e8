package codec

import (
	"bytes"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestWhatReadingNeedsIsAllBlobsButParityAndCopies(t *testing.T) {
	for _, size := range []int{0, 1000, 3*chunk64 + 5} {
		for _, erasure := range []Eraser{nil, naive{Coding{2, 1}}} {
			store := newBlobs()
			plain := testPlain(size)
			f, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: chunk64, Erasure: erasure}, MaxRefs)
			if err != nil {
				t.Fatal(err)
			}
			needed, err := slice(Needed(t.Context(), store, f))
			if err != nil {
				t.Fatal(err)
			}
			all, err := slice(Blobs(t.Context(), store, f))
			if err != nil || erasure == nil && len(all) != len(needed) || erasure != nil && len(all) <= len(needed) {
				t.Errorf("%d bytes: %d blobs of %d are needed, %v", size, len(needed), len(all), err)
			}
			only := newBlobs()
			for _, id := range needed {
				blob, err := store.Get(t.Context(), id, nil)
				if err == nil {
					err = only.Put(t.Context(), id, blob)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			got := make([]byte, size)
			if _, err := newReader(t.Context(), only, f, MaxRefs).ReadAt(got, 0); err != nil && size > 0 || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes from what is needed alone: %v", size, err)
			}
			for id, err := range Needed(t.Context(), store, f) { // may be left at once
				if err != nil || id != f.Root.ID {
					t.Errorf("the first is %s, %v", id, err)
				}
				break
			}
			if f.Depth > 0 {
				last := blobnet.ID{}
				for id, err := range Needed(t.Context(), newBlobs(), f) {
					if err == nil {
						last = id
					}
				}
				if last != f.Root.ID {
					t.Errorf("without the index: %s", last)
				}
			}
		}
	}
}
