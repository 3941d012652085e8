package diskstore

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// lostIDs is what Lost yields until an error.
func lostIDs(ctx context.Context, s *Store) (ids []blobnet.ID, err error) {
	for id, err := range s.Lost(ctx) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func TestWhatIsPinnedAndNotThereIsLostUntilItComes(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	var ids []blobnet.ID
	for n := range 6 {
		ids = append(ids, put(t, s, n, 1000))
	}
	must(t, s.Pin(t.Context(), ids[:4]...))
	if lost, err := lostIDs(t.Context(), s); err != nil || len(lost) != 0 {
		t.Errorf("with everything there, lost are %v (%v)", lost, err)
	}
	for _, n := range []int{0, 1, 4} { // 4 is not pinned
		flip(t, s, ids[n])
	}
	if _, err := s.Get(t.Context(), ids[0], nil); !errors.Is(err, blobnet.ErrCorrupt) {
		t.Errorf("a rotten blob gives %v", err)
	}
	must(t, os.Remove(s.tree.blob(ids[2])))
	_, err := s.Scrub(t.Context(), ScrubConfig{BytesPerSecond: -1})
	must(t, err)
	closeStore(t, s)
	s = open(t, cfg) // a later process finds them again
	want := slices.SortedFunc(slices.Values(ids[:3]), blobnet.ID.Compare)
	if lost, err := lostIDs(t.Context(), s); err != nil || !slices.Equal(lost, want) {
		t.Errorf("lost are %v (%v), want %v", lost, err, want)
	}
	put(t, s, 0, 1000)
	must(t, s.Unpin(t.Context(), ids[1]))
	if lost, err := lostIDs(t.Context(), s); err != nil || len(lost) != 1 || lost[0] != ids[2] {
		t.Errorf("lost are %v (%v), want %v", lost, err, ids[2])
	}
}

func TestManyLostIDsAreYieldedOnceEachWhileTheStoreIsUsed(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	want := []blobnet.ID{{}} // the first id there is
	for n := range 2*listPage + 1 {
		want = append(want, blobnet.ID{0x17, byte(n >> 8), byte(n), 1}) // all in one folder
	}
	last := blobnet.ID{}
	for i := range last {
		last[i] = 0xff
	}
	want = append(want, last)
	must(t, s.Pin(t.Context(), want...))
	var got []blobnet.ID
	for id, err := range s.Lost(t.Context()) {
		must(t, err)
		if got = append(got, id); len(got)%listPage == 1 {
			must(t, s.Unpin(t.Context(), id)) // the loop may use the store
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d ids came, want %d", len(got), len(want))
	}
	for range s.Lost(t.Context()) {
		break // and may end
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lostIDs(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended it gives %v", err)
	}
}
