package publisher_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/publisher"
)

func TestWhatIsIngestedInPlaceIsNotStoredAgain(t *testing.T) {
	w := newWorld(t, 0)
	if _, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: w.dir, InPlace: true}); err == nil {
		t.Error("ingested in no place")
	}
	store, err := inplace.Open(t.Context(), inplace.Config{Inner: w.store, Path: filepath.Join(t.TempDir(), "inplace.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p, err := publisher.New(publisher.Config{Blobs: store, InPlace: store, Ledger: w.catalog, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"large": pattern(20*codec.MinChunkSize+5, 1), "d/small": pattern(10, 2), "empty": nil}
	total := 0
	for name, content := range files {
		w.file("in/"+name, content)
		total += len(content)
	}
	res, err := p.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, "in"), ChunkSize: codec.MinChunkSize, InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range res.Entries {
		var got bytes.Buffer
		if _, err := codec.NewReader(t.Context(), store, e.File()).WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), files[e.Name]) {
			t.Errorf("%s has %d bytes, %v", e.Name, got.Len(), err)
		}
	}
	stats, err := w.store.Stats(t.Context())
	if err != nil || stats.BlobCount != 1 || stats.CurrentSize > int64(total)/50 {
		t.Errorf("%+v stored, %v", stats, err)
	}
	if u, err := store.Usage(t.Context()); err != nil || u.Files != 3 || u.Blobs != 23 {
		t.Errorf("%+v in place, %v", u, err)
	}

	w.file("changing", pattern(5*codec.MinChunkSize, 3))
	path := filepath.Join(w.dir, "changing")
	_, err = p.Ingest(t.Context(), publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize, InPlace: true, OnProgress: func(publisher.Progress) {
		if err := os.Truncate(path, 3); err != nil {
			t.Error(err)
		}
	}})
	if !errors.Is(err, publisher.ErrChanged) {
		t.Errorf("a file that changes gives %v", err)
	}
	if u, err := store.Usage(t.Context()); err != nil || u.Files != 3 || u.Blobs != 23 {
		t.Errorf("%+v in place, %v", u, err)
	}
	if err := os.Remove(filepath.Join(w.dir, "in/d/small")); err != nil {
		t.Fatal(err)
	}
	for _, e := range res.Entries {
		if _, err := store.Get(t.Context(), e.Root.ID, nil); errors.Is(err, blobnet.ErrNotFound) != (e.Name == "d/small") {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

var _ publisher.InPlace = (*inplace.Store)(nil)
