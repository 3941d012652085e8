package diskstore

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

// smallDisk mounts a file system of size bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	return smalldisk.Mount(t, t.TempDir(), size)
}

func TestAFullDiskRefusesPutsAndGoesOnServing(t *testing.T) {
	cfg := Config{Dir: smallDisk(t, "8m"), MinFree: -1}
	s := open(t, cfg)
	var mu sync.Mutex
	var stored, refused []blobnet.ID
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for n := range 60 {
				id, blob := storetest.Blob(w<<20|n, 100_000)
				err := s.Put(t.Context(), id, blob)
				mu.Lock()
				switch {
				case err == nil:
					stored = append(stored, id)
				case errors.Is(err, blobnet.ErrFull):
					refused = append(refused, id)
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if len(stored) < 40 || len(refused) == 0 {
		t.Fatalf("%d blobs were stored, %d refused", len(stored), len(refused))
	}
	for _, id := range stored {
		wantBlob(t, s, id)
	}
	for _, id := range refused {
		wantHas(t, s, id, false)
	}
	wantNoParts(t, s)
	st, err := s.Stats(t.Context())
	if err != nil || st.BlobCount != int64(len(stored)) || st.CurrentSize != int64(len(stored))*100_000 {
		t.Errorf("stats are %+v (%v), want %d blobs", st, err, len(stored))
	}
	must(t, s.List(t.Context(), func(blobnet.Info) error { return nil }))

	// As little room as there is, the store is not lost.
	err = s.Close()
	if err != nil && !isFull(err) && !disk.IsFull(err) {
		t.Errorf("Close gives %v", err)
	}
	s, err = Open(cfg)
	if err != nil {
		if !isFull(err) && !disk.IsFull(err) {
			t.Fatalf("Open gives %v", err)
		}
		must(t, os.Remove(s.tree.blob(stored[0])))
		stored = stored[1:]
		if s, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
	}
	defer closeStore(t, s)
	for _, id := range stored {
		wantBlob(t, s, id)
	}
	must(t, s.Delete(t.Context(), stored[:10]...))
	for _, id := range refused[:5] {
		n := -1
		for w := range 4 {
			for i := range 60 {
				if got, _ := storetest.Blob(w<<20|i, 100_000); got == id {
					n = w<<20 | i
				}
			}
		}
		put(t, s, n, 100_000)
		wantBlob(t, s, id)
	}
}

func TestTheDisksFloorIsKept(t *testing.T) {
	const floor = 2 << 20
	cfg := Config{Dir: smallDisk(t, "8m"), MinFree: floor}
	s := open(t, cfg)
	count := 0
	for ; count < 200; count++ {
		id, blob := storetest.Blob(count, 100_000)
		if err := s.Put(t.Context(), id, blob); err != nil {
			if !errors.Is(err, blobnet.ErrFull) {
				t.Error(err)
			}
			wantHas(t, s, id, false)
			break
		}
	}
	free, err := disk.Free(cfg.Dir)
	must(t, err)
	if free < floor-300_000 || free > floor+1<<20 { // the index is there, too
		t.Errorf("after %d blobs %d bytes are free, want about %d", count, free, floor)
	}
	wantStats(t, s, int64(count), int64(count)*100_000, 0)
}
