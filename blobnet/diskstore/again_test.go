package diskstore

import (
	"errors"
	"os"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// flipByte changes one byte of a file, in place.
func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	must(t, err)
	must(t, f.Close())
}

func TestAGoodCopyOfARottenBlobIsNotThrownAway(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for n, size := range []int{100, 1000, 100_000, 1 << 20} {
		for _, at := range []int64{0, int64(size) / 2, int64(size) - 1} {
			id := put(t, s, n, size)
			must(t, s.Pin(t.Context(), id))
			flipByte(t, s.tree.blob(id), at)
			if put(t, s, n, size) != id {
				t.Fatal("another blob")
			}
			wantBlob(t, s, id)
			wantHas(t, s, id, true)
			must(t, s.Sync(t.Context()))
		}
	}
	wantStats(t, s, 4, 100+1000+100_000+1<<20, 4)
}

func TestAWrongClaimReplacesNoGoodBlob(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id, blob := storetest.Blob(1, 100_000)
	must(t, s.Put(t.Context(), id, blob))
	forged := append([]byte(nil), blob...)
	forged[70_000] ^= 1
	if err := s.PutVerified(t.Context(), id, forged); !errors.Is(err, blobnet.ErrCorrupt) {
		t.Errorf("a wrong claim gives %v, want ErrCorrupt", err)
	}
	wantBlob(t, s, id)
}
