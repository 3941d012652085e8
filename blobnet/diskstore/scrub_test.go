package diskstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// flip changes a bit of a blob's file.
func flip(t testing.TB, s *Store, id blobnet.ID) {
	t.Helper()
	blob, err := os.ReadFile(s.tree.blob(id))
	must(t, err)
	blob[len(blob)/2] ^= 1
	must(t, os.WriteFile(s.tree.blob(id), blob, 0o600))
}

func TestAScrubFindsWhatRottedAndWhatIsGone(t *testing.T) {
	var told events
	s := open(t, Config{Dir: t.TempDir(), OnEvent: told.add})
	var ids []blobnet.ID
	for n := range 20 {
		ids = append(ids, put(t, s, n, 100_000))
	}
	must(t, s.Pin(t.Context(), ids[3]))
	flip(t, s, ids[3])
	must(t, os.Truncate(s.tree.blob(ids[4]), 17))
	must(t, os.Remove(s.tree.blob(ids[5])))
	var corrupt, missing []blobnet.ID
	reports := 0
	cfg := ScrubConfig{
		BytesPerSecond: -1, OnProgress: func(ScrubResult) { reports++ },
		OnCorrupt: func(id blobnet.ID) { corrupt = append(corrupt, id) },
		OnMissing: func(id blobnet.ID) { missing = append(missing, id) },
	}
	res, err := s.Scrub(t.Context(), cfg)
	must(t, err)
	if res.Corrupt != 2 || res.Missing != 1 || !res.Done || res.Resumed || res.Bytes != 1_700_000 || reports == 0 {
		t.Errorf("the scrub did %+v, with %d reports", res, reports)
	}
	if len(corrupt) != 2 || len(missing) != 1 || missing[0] != ids[5] || len(told.all) != 3 {
		t.Errorf("corrupt are %v, missing %v, told was %v", corrupt, missing, told.all)
	}
	wantStats(t, s, 17, 1_700_000, 0)
	for n := 3; n <= 5; n++ { // healed by being put again
		wantHas(t, s, ids[n], false)
		put(t, s, n, 100_000)
		wantBlob(t, s, ids[n])
	}
	wantStats(t, s, 20, 2_000_000, 1) // the pin held
	if res, err = s.Scrub(t.Context(), cfg); err != nil || res.Corrupt+res.Missing != 0 || res.Blobs != 20 {
		t.Errorf("the next scrub did %+v (%v)", res, err)
	}
}

func TestAScrubKeepsItsRateAndGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Dir: t.TempDir()}
		s, err := Open(cfg)
		must(t, err)
		for n := range 40 {
			put(t, s, n, 100_000)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		res, err := s.Scrub(ctx, ScrubConfig{BytesPerSecond: 100_000})
		if !errors.Is(err, context.DeadlineExceeded) || res.Blobs != 11 || res.Done { // one, and one more each second
			t.Errorf("after 10 s the scrub did %+v (%v)", res, err)
		}
		closeStore(t, s)
		s, err = Open(cfg)
		must(t, err)
		begin := time.Now()
		next, err := s.Scrub(t.Context(), ScrubConfig{BytesPerSecond: 100_000})
		must(t, err)
		if !next.Resumed || !next.Done || next.Blobs != 29 || bytes.Compare(next.At[:], res.At[:]) <= 0 {
			t.Errorf("the second scrub did %+v", next)
		}
		if d := time.Since(begin); d < 28*time.Second || d > 29*time.Second {
			t.Errorf("29 blobs took %v", d)
		}
		if res, err := s.Scrub(t.Context(), ScrubConfig{BytesPerSecond: -1}); err != nil || res.Resumed || res.Blobs != 40 {
			t.Errorf("the third scrub did %+v (%v)", res, err)
		}
		closeStore(t, s)
	})
}

func TestAScrubIsNoUseOfBlobs(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), MaxSize: 3000})
	ids := []blobnet.ID{put(t, s, 0, 1000), put(t, s, 1, 1000), put(t, s, 2, 1000)}
	wantBlob(t, s, ids[0])
	_, err := s.Scrub(t.Context(), ScrubConfig{})
	must(t, err)
	put(t, s, 3, 1000)
	for i, want := range []bool{true, false, true} {
		wantHas(t, s, ids[i], want)
	}
}

func TestCloseEndsAScrub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Dir: t.TempDir()})
		must(t, err)
		for n := range 5 {
			put(t, s, n, 1000)
		}
		ended := make(chan error)
		go func() {
			_, err := s.Scrub(context.Background(), ScrubConfig{BytesPerSecond: 1})
			ended <- err
		}()
		synctest.Wait()
		closeStore(t, s)
		if err := <-ended; !errors.Is(err, blobnet.ErrClosed) {
			t.Errorf("Scrub gives %v, want ErrClosed", err)
		}
	})
}

func TestWhatIsSentIsCheckedAndHealed(t *testing.T) {
	for name, forget := range map[string]bool{"checksum in memory": false, "checksum in the index": true} {
		t.Run(name, func(t *testing.T) {
			var told events
			cfg := Config{Dir: t.TempDir(), OnEvent: told.add}
			s := open(t, cfg)
			id, small := put(t, s, 1, 1<<20), put(t, s, 2, 1000)
			if forget {
				closeStore(t, s)
				s = open(t, cfg)
			}
			for _, id := range []blobnet.ID{id, small} {
				blob, err := s.GetToSend(t.Context(), id, []byte("before"))
				if err != nil || string(blob[:6]) != "before" || blobnet.Sum(blob[6:]) != id {
					t.Errorf("GetToSend gives %d bytes and %v", len(blob), err)
				}
				flip(t, s, id)
				if _, err := s.GetToSend(t.Context(), id, nil); !errors.Is(err, blobnet.ErrCorrupt) {
					t.Errorf("GetToSend gives %v, want ErrCorrupt", err)
				}
				if _, err := s.GetToSend(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) {
					t.Errorf("GetToSend gives %v, want ErrNotFound", err)
				}
			}
			told.want(t, EventCorrupt, EventCorrupt)
			if told.all[0].ID != id {
				t.Errorf("the event is %+v", told.all[0])
			}
			put(t, s, 1, 1<<20)
			blob, err := s.GetToSend(t.Context(), id, nil)
			if err != nil || blobnet.Sum(blob) != id {
				t.Errorf("after a Put, GetToSend gives %v", err)
			}
		})
	}
}

func TestAWrongOrUnknownChecksumOnlyCostsAHash(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id, blob := storetest.Blob(1, 1<<20)
	must(t, s.Put(t.Context(), id, blob))
	for _, crc := range []int64{noSum, 12345} {
		s.sums.places = nil
		must(t, s.withIndex(t.Context(), "", func(idx *index) error {
			return idx.write(t.Context(), false, func() error {
				_, err := idx.exec("UPDATE blobs SET crc = ?", crc)
				return err
			})
		}))
		if got, err := s.GetToSend(t.Context(), id, nil); err != nil || !bytes.Equal(got, blob) {
			t.Errorf("GetToSend gives %d bytes and %v", len(got), err)
		}
		must(t, s.withIndex(t.Context(), "", func(*index) error { return nil }))
		var known int64
		must(t, s.sumOf.QueryRowContext(t.Context(), id[:]).Scan(&known))
		if want := s.sums.find(id); known != want || want == noSum {
			t.Errorf("the index has the checksum %d, want %d", known, want)
		}
	}
}
