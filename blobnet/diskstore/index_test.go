package diskstore

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

func TestDurableWritesAreAndOthersAreNot(t *testing.T) {
	idx, err := openIndex(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	must(t, err)
	for _, durable := range []bool{true, false, true} {
		must(t, idx.write(t.Context(), durable, func() error {
			var level int
			err := idx.conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&level)
			if full := level == 2; full != durable {
				t.Errorf("durable %v: synchronous is %d", durable, level)
			}
			return err
		}))
	}
	must(t, idx.close())
}

func TestAWriteThatFailsChangesNeitherRowsNorSums(t *testing.T) {
	idx, err := openIndex(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	must(t, err)
	id, _ := storetest.Blob(1, 100)
	stop := errors.New("stop")
	if err := idx.write(t.Context(), true, func() error {
		must(t, idx.put(row{id: id, size: 100, used: 1, gen: 1}))
		must(t, idx.pin(id))
		idx.synced = 7
		return stop
	}); !errors.Is(err, stop) {
		t.Errorf("write gives %v, want the function's error", err)
	}
	if idx.totals != (totals{}) || idx.synced != 0 {
		t.Errorf("the sums are %+v, synced is %d", idx.totals, idx.synced)
	}
	if e, err := idx.find(id); err != nil || e != (entry{size: -1}) {
		t.Errorf("the row is %+v (%v)", e, err)
	}
	must(t, idx.close())
}

func TestTheMemoryOfWhatWasReadIsBounded(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	idx := <-s.index // a disk that does not keep up
	for n := range 2 * maxTouches {
		id, _ := storetest.Blob(n, 8)
		must(t, s.begin(t.Context())) // as in a Get
		s.touch(id, noSum)
		s.ops.Done()
	}
	s.mu.Lock()
	if left := len(s.queue.touched); left != maxTouches {
		t.Errorf("%d use times wait, want %d", left, maxTouches)
	}
	s.mu.Unlock()
	s.index <- idx
}
