package diskstore

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// uses returns the use times that the index has.
func uses(t *testing.T, s *Store) map[blobnet.ID]time.Time {
	t.Helper()
	all := make(map[blobnet.ID]time.Time)
	must(t, s.List(t.Context(), func(info blobnet.Info) error {
		all[info.ID] = info.Used
		return nil
	}))
	return all
}

func TestTheOrderOfUseHoldsWhenTheClockJumps(t *testing.T) {
	day := 24 * time.Hour
	for name, jumps := range map[string][]time.Duration{
		"far ahead":              {0, 0, 3650 * day, 0, 0, 0},
		"far back":               {0, 0, -3650 * day, 0, 0, 0},
		"ahead and back":         {0, 3650 * day, 0, -3650 * day, 0, 0},
		"back and ahead":         {0, -3650 * day, 0, 3650 * day, 0, 0},
		"before 1970, and later": {0, -36500 * day, 0, 0, 73000 * day, 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			cfg := Config{Dir: t.TempDir(), MaxSize: 5000, Now: func() time.Time { now = now.Add(time.Second); return now }}
			s := open(t, cfg)
			var ids []blobnet.ID
			for n, jump := range jumps[:5] {
				now = now.Add(jump)
				ids = append(ids, put(t, s, n, 1000))
			}
			now = now.Add(jumps[5])
			closeStore(t, s) // the order is kept over a start
			s = open(t, cfg)
			now = now.Add(-day)
			put(t, s, 5, 1000)
			put(t, s, 6, 1000)
			for i, id := range ids {
				wantHas(t, s, id, i >= 2)
			}
		})
	}
}

func TestUsesOfABlobAreWrittenOnceInAWhile(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Config{Dir: t.TempDir(), Now: func() time.Time { now = now.Add(time.Second); return now }})
	old, hot := put(t, s, 0, 1000), put(t, s, 1, 1000)
	now = now.Add(32 * time.Hour)
	wantBlob(t, s, hot)
	first := uses(t, s)[hot]
	if now.Sub(first) > time.Minute {
		t.Errorf("the first use in a day is not written: %v", first)
	}
	for range 20 {
		now = now.Add(time.Minute)
		wantBlob(t, s, hot)
		if got := uses(t, s)[hot]; !got.Equal(first) {
			t.Errorf("a use %v after the one before is written", got.Sub(first))
		}
	}
	now = now.Add(time.Hour)
	wantBlob(t, s, hot)
	if got := uses(t, s)[hot]; now.Sub(got) > time.Minute {
		t.Errorf("a use after more than an hour is not written: %v", got)
	}
	wantBlob(t, s, old) // the one used longest ago always moves
	if got := uses(t, s)[old]; now.Sub(got) > time.Minute {
		t.Errorf("the use of the oldest blob is not written: %v", got)
	}
}
