package subscriber_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
	"github.com/anonymous-media-library/aml/publisher"
)

func TestAFileWithParityIsFetchedThoughPeersLostSomeOfIt(t *testing.T) {
	w := newWorld(t)
	content := pattern(30*codec.MinChunkSize+1, 1)
	path := filepath.Join(t.TempDir(), "movie.mkv")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	code, err := erasure.New(codec.Coding{Data: 6, Parity: 2})
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.pub.Ingest(t.Context(), publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	e := made.Entries[0]
	gone := map[blobnet.ID]bool{}
	for s, err := range codec.Stripes(t.Context(), w.pubStore, e.File()) {
		if err != nil {
			t.Fatal(err)
		}
		gone[s.Data[0].ID] = true
		gone[s.Parity[1].ID] = true
	}
	w.peer.onGet = func(id blobnet.ID) error {
		if gone[id] {
			return blobnet.ErrNotFound
		}
		return nil
	}
	dir := t.TempDir()
	f, err := downloadFile(t.Context(), w.swarm, e, filepath.Join(dir, "out.mkv"), nil)
	if err != nil || f.SHA256 != e.SHA256 {
		t.Errorf("%+v, %v", f, err)
	}
	wantTree(t, dir, files{"out.mkv": content})

	// One more lost in a stripe than it has parity is an error.
	for s, err := range codec.Stripes(t.Context(), w.pubStore, e.File()) {
		if err != nil {
			t.Fatal(err)
		}
		gone[s.Data[1].ID] = true
		break
	}
	w.store = memstore.New(memstore.Config{})
	w.swarm = newSwarm(t, w.store, w.peer)
	_, err = downloadFile(t.Context(), w.swarm, e, filepath.Join(t.TempDir(), "out.mkv"), nil)
	if !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestWhatParityMakesIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	content := pattern(100*codec.MinChunkSize+1, 1)
	path := filepath.Join(t.TempDir(), "movie.mkv")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	code, err := erasure.New(codec.Coding{Data: 4, Parity: 2})
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.pub.Ingest(t.Context(), publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	e := made.Entries[0]
	gone := map[blobnet.ID]bool{}
	for s, err := range codec.Stripes(t.Context(), w.pubStore, e.File()) {
		if err != nil {
			t.Fatal(err)
		}
		gone[s.Data[0].ID] = true
		if len(s.Data) > 2 {
			gone[s.Data[2].ID] = true
		}
	}
	w.peer.onGet = func(id blobnet.ID) error {
		if gone[id] {
			return blobnet.ErrNotFound
		}
		return nil
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		swarm, err := fetch.New(fetch.Config{Store: memstore.New(memstore.Config{})}) // a minute of patience
		if err != nil {
			t.Fatal(err)
		}
		swarm.Add(w.peer)
		begun := time.Now()
		if _, err := downloadFile(t.Context(), swarm, e, filepath.Join(dir, "out.mkv"), nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("took %v", took)
		}
	})
	wantTree(t, dir, files{"out.mkv": content})
}
