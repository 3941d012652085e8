package diskstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// fill puts blobs until one is refused, and returns those that were stored and
// the number of the refused one.
func fill(t *testing.T, s *Store, size int) (stored []blobnet.ID, refused int) {
	t.Helper()
	for n := range 1000 {
		id, blob := storetest.Blob(n, size)
		switch err := s.Put(t.Context(), id, blob); {
		case errors.Is(err, blobnet.ErrFull):
			return stored, n
		case err != nil:
			t.Fatal(err)
		}
		stored = append(stored, id)
	}
	t.Fatal("the disk is never full")
	return nil, 0
}

func TestAFullDiskTurnsTheStoreToServeOnlyAndBack(t *testing.T) {
	for name, floor := range map[string]int64{"no room": -1, "the floor": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			var told events
			now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			s := open(t, Config{Dir: smallDisk(t, "8m"), MinFree: floor, OnEvent: told.add, Now: func() time.Time { return now }})
			stored, n := fill(t, s, 100_000)
			told.want(t, EventServeOnly)
			if !s.ServeOnly() {
				t.Error("the store is not serve-only")
			}
			id, blob := storetest.Blob(n, 100_000)
			refused := func(unasked bool) {
				t.Helper()
				err := s.Put(t.Context(), id, blob)
				if !errors.Is(err, blobnet.ErrFull) || errors.Is(err, errServeOnly) != unasked {
					t.Errorf("Put gives %v, want it refused without asking the disk: %v", err, unasked)
				}
			}
			refused(true)
			now = now.Add(firstProbe)
			refused(false)
			now = now.Add(firstProbe)
			refused(true) // the time has doubled
			now = now.Add(-24 * time.Hour)
			refused(false) // a clock that was set back is no reason to wait for a day
			refused(true)
			for _, id := range stored {
				wantBlob(t, s, id)
			}
			put(t, s, 0, 100_000) // there already
			told.want(t, EventServeOnly)

			must(t, s.Delete(t.Context(), stored[:20]...))
			put(t, s, n, 100_000) // tries at once
			told.want(t, EventServeOnly, EventWritable)
			if s.ServeOnly() {
				t.Error("the store is still serve-only")
			}
			for _, id := range stored[20:] {
				wantBlob(t, s, id)
			}
		})
	}
}

func TestAStoreThatIsAskedFindsOutThatThereIsRoomAgain(t *testing.T) {
	var told events
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	dir := smallDisk(t, "32m")
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 24<<20), 0o600))
	s := open(t, Config{Dir: filepath.Join(dir, "blobs"), MinFree: -1, OnEvent: told.add, Now: func() time.Time { return now }})
	stored, n := fill(t, s, 200_000)
	now = now.Add(time.Hour)
	if !s.ServeOnly() {
		t.Error("the store takes a full disk for one with room")
	}
	must(t, os.Remove(ballast))
	if !s.ServeOnly() {
		t.Error("the disk is asked at every call")
	}
	now = now.Add(time.Hour)
	if s.ServeOnly() {
		t.Error("the store does not see that there is room")
	}
	told.want(t, EventServeOnly, EventWritable)
	put(t, s, n, 200_000)
	for _, id := range stored {
		wantBlob(t, s, id)
	}
}

func TestAQuotaInPercentIsOfTheDisk(t *testing.T) {
	s := open(t, Config{Dir: smallDisk(t, "8m"), MinFree: -1, MaxPercent: 25})
	for n := range 50 {
		put(t, s, n, 100_000)
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.MaxSize != 2<<20 || st.CurrentSize > 2<<20 || st.CurrentSize < 1<<20 {
		t.Errorf("stats are %+v (%v), want a quota of 2 MiB", st, err)
	}
	must(t, s.SetLimits(t.Context(), Limits{MaxSize: 1 << 20, MaxPercent: 25, MinFree: -1}))
	for n := range 50 {
		put(t, s, 100+n, 100_000)
	}
	if st, err = s.Stats(t.Context()); err != nil || st.MaxSize != 1<<20 || st.CurrentSize > 1<<20 {
		t.Errorf("stats are %+v (%v), want the smaller quota", st, err)
	}
}

func TestLimitsCanBeChangedWhileTheStoreRuns(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), MinFree: -1})
	for n := range 20 {
		put(t, s, n, 1000)
	}
	must(t, s.SetLimits(t.Context(), Limits{MaxSize: 5000, MinFree: -1}))
	wantStats(t, s, 20, 20_000, 0) // nothing is evicted unasked
	put(t, s, 20, 1000)
	wantStats(t, s, 5, 5000, 0)
	must(t, s.SetLimits(t.Context(), Limits{MinFree: 1 << 60}))
	id, blob := storetest.Blob(21, 1000)
	if err := s.Put(t.Context(), id, blob); !errors.Is(err, blobnet.ErrFull) || !s.ServeOnly() {
		t.Errorf("Put gives %v, want ErrFull and a store that is serve-only", err)
	}
	must(t, s.SetLimits(t.Context(), Limits{MinFree: -1}))
	put(t, s, 21, 1000)
	for _, bad := range []Limits{{MaxSize: -1}, {MaxPercent: -1}, {MaxPercent: 101}} {
		if err := s.SetLimits(t.Context(), bad); err == nil {
			t.Errorf("SetLimits(%+v) gives no error", bad)
		}
	}
	if got := s.Limits(); got != (Limits{MinFree: -1}) {
		t.Errorf("the limits are %+v", got)
	}
}
