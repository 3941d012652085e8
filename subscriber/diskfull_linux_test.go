package subscriber_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/smalldisk"
	"github.com/anonymous-media-library/aml/subscriber"
)

// smallDisk mounts a file system of a given size, if that is permitted here.
func smallDisk(t *testing.T) (dir string, resize func(size string)) {
	t.Helper()
	dir = smalldisk.Mount(t, t.TempDir(), "2m")
	return dir, func(size string) { t.Helper(); smalldisk.Resize(t, dir, size) }
}

func TestAFullDiskIsNamedAndNothingIsLost(t *testing.T) {
	dir, resize := smallDisk(t)
	w := newWorld(t)
	w.out = filepath.Join(dir, "out")
	w.subscribe()
	f := files{"a-small": "small", "big": pattern(64*codec.MinChunkSize, 1), "z-small": "small"}
	w.publish("one", f)
	w.sync()
	err := w.follow()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), w.out) {
		t.Errorf("%v", err)
	}
	for name, content := range tree(t, w.out) {
		if f[name] != content {
			t.Errorf("%s is there with %d bytes", name, len(content))
		}
	}
	if cursor, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id); err != nil || cursor != 0 {
		t.Errorf("the cursor is at %d, %v", cursor, err)
	}
	var here []blobnet.ID
	if err := w.store.List(t.Context(), func(i blobnet.Info) error { here = append(here, i.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	w.peer.reset()
	resize("16m")
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantTree(f)
	for _, id := range here {
		if w.peer.asked[id] > 0 {
			t.Errorf("blob %s was fetched again", id.Short())
		}
	}
}

func TestADownloadToAFullDiskLeavesNothing(t *testing.T) {
	dir, resize := smallDisk(t)
	w := newWorld(t)
	content := pattern(64*codec.MinChunkSize, 1)
	e := w.ingest(files{"big": content})[0]
	out := filepath.Join(dir, "big")
	if _, err := downloadFile(t.Context(), w.swarm, e, out, nil); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), out) {
		t.Errorf("%v", err)
	}
	wantTree(t, dir, files{})
	resize("16m")
	if _, err := downloadFile(t.Context(), w.swarm, e, out, nil); err != nil {
		t.Error(err)
	}
	wantTree(t, dir, files{"big": content})
}

func TestADiskThatFillsUpKeepsWhatCame(t *testing.T) {
	dir, resize := smallDisk(t)
	resize("8m")
	w := newWorld(t)
	place := placed(t, w)
	content := pattern(64*codec.MinChunkSize, 1)
	e := w.ingest(files{"big": content})[0]
	filler := filepath.Join(dir, "filler")
	var asked atomic.Int64
	w.peer.onGet = func(blobnet.ID) error {
		if asked.Add(1) == 30 {
			_ = os.WriteFile(filler, make([]byte, 8<<20), 0o600) // as far as it goes
		}
		return nil
	}
	swarm, err := fetch.New(fetch.Config{Store: place, MaxOutstanding: 512 << 10})
	if err != nil {
		t.Fatal(err)
	}
	swarm.Add(w.peer)
	d := subscriber.Download{Swarm: swarm, Place: place}
	if _, err := d.File(t.Context(), e, filepath.Join(dir, "big")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	got, err := d.File(t.Context(), e, filepath.Join(dir, "big"))
	if err != nil || got.FromStore < 10*codec.MinChunkSize || got.FromStore+got.FromPeers != e.Size {
		t.Errorf("%+v, %v", got, err)
	}
	wantTree(t, dir, files{"big": content})
	if !whole(t, place, e, content) {
		t.Error("it is not served")
	}
}
