package diskstore

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// TestUpkeepWhileTheStoreIsUsed runs scrubs, garbage collections and changes of
// the limits beside Puts, Gets and damage to files.
func TestUpkeepWhileTheStoreIsUsed(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), MaxSize: 200_000, MinFree: -1})
	record(s)
	kept := put(t, s, -1, 1000)
	must(t, s.Pin(t.Context(), kept))
	t.Run("workers", func(t *testing.T) {
		for w := range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for n := range 150 {
					id, blob := storetest.Blob(w<<20|n, 1000)
					if err := s.Put(t.Context(), id, blob); err != nil {
						t.Error(err)
					}
					if n%30 == 7 {
						_ = os.Truncate(s.tree.blob(id), 10) // it may be gone
					}
					got, err := s.GetToSend(t.Context(), id, nil)
					switch {
					case err == nil && blobnet.Sum(got) != id:
						t.Error("GetToSend gives wrong bytes")
					case err != nil && !errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, blobnet.ErrCorrupt):
						t.Error(err)
					}
				}
			})
		}
		for name, do := range map[string]func(context.Context, int) error{
			"scrub": func(ctx context.Context, _ int) error {
				_, err := s.Scrub(ctx, ScrubConfig{BytesPerSecond: -1})
				return err
			},
			"gc": func(ctx context.Context, n int) error {
				_, err := s.GC(ctx, GCConfig{Target: int64(50_000 + n*1000), DryRun: n%3 == 0})
				return err
			},
			"limits": func(ctx context.Context, n int) error {
				return s.SetLimits(ctx, Limits{MaxSize: int64(100_000 + n*1000), MinFree: -1})
			},
			"sync": func(ctx context.Context, _ int) error { return s.Sync(ctx) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for n := range 15 {
					if err := do(t.Context(), n); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
	_, err := s.Scrub(t.Context(), ScrubConfig{BytesPerSecond: -1, Restart: true})
	must(t, err)
	wantBlob(t, s, kept)
	var count, size int64
	must(t, s.List(t.Context(), func(info blobnet.Info) error {
		count, size = count+1, size+info.Size
		wantBlob(t, s, info.ID)
		return nil
	}))
	wantStats(t, s, count, size, 1)
	wantNoParts(t, s)
	idx := <-s.index
	before := idx.totals
	must(t, idx.recount())
	if before != idx.totals {
		t.Errorf("the sums are %+v, the rows say %+v", before, idx.totals)
	}
	s.index <- idx
}
