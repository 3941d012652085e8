package limit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const frame = 64 << 10

// upload sends frames to peer until ctx ends, and returns the bytes.
func upload(ctx context.Context, u *Upload, peer string, n int) int64 {
	var sent int64
	for u.Wait(ctx, peer, n) == nil {
		sent += int64(n)
	}
	return sent
}

// share runs so many streams for each peer for so long, and returns what each
// peer got. Frames of peer i have size(i) bytes.
func share(u *Upload, run time.Duration, streams []int, size func(peer int) int) []int64 {
	ctx, cancel := context.WithTimeout(context.Background(), run)
	defer cancel()
	type result struct {
		peer int
		sent int64
	}
	results := make(chan result)
	all := 0
	for p, n := range streams {
		for range n {
			all++
			go func() { results <- result{p, upload(ctx, u, fmt.Sprint("peer ", p), size(p))} }()
		}
	}
	got := make([]int64, len(streams))
	for range all {
		r := <-results
		got[r.peer] += r.sent
	}
	return got
}

func fixed(int) int { return frame }

func TestLongRunRateOfUploadsIsExact(t *testing.T) {
	for _, rate := range []int64{10_000, 1_000_000, 100_000_000} {
		synctest.Test(t, func(t *testing.T) {
			got := share(NewUpload(Config{Total: rate}), time.Minute, []int{3}, fixed)
			near(t, fmt.Sprint(rate), got[0], rate, frame, time.Minute)
		})
	}
}

func TestPeersShareAFullUplinkFairlyHoweverManyStreamsTheyHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, run = 10 << 20, time.Minute
		sizes := []int{frame, frame, 1000, 20_000}
		got := share(NewUpload(Config{Total: rate}), run, []int{1, 4, 50, 2}, func(p int) int { return sizes[p] })
		fair := float64(rate) * run.Seconds() / 4
		for p, n := range got {
			if float64(n) < 0.9*fair || float64(n) > 1.1*fair {
				t.Errorf("peer %d got %d bytes, its share is %.0f: all %v", p, n, fair, got)
			}
		}
	})
}

func TestWhatOnePeerLeavesIsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const run = time.Minute
		u := NewUpload(Config{Total: 1000_000, PerPeer: 800_000})
		ctx, cancel := context.WithTimeout(t.Context(), run)
		defer cancel()
		slow := make(chan int64)
		go func() { // wants a tenth of the rate
			var sent int64
			for u.Wait(ctx, "slow", 10_000) == nil {
				sent += 10_000
				pass(100*time.Millisecond - time.Since(time.Now().Truncate(100*time.Millisecond)))
			}
			slow <- sent
		}()
		got := share(u, run, []int{4}, func(int) int { return 10_000 })
		near(t, "the peer at its own limit", got[0], 800_000, 10_000, run)
		near(t, "the slow one", <-slow, 100_000, 10_000, run)
	})
}

func TestLimitOfEachPeerHoldsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := share(NewUpload(Config{PerPeer: 100_000}), time.Minute, []int{1, 7, 2}, fixed)
		for p, n := range got {
			near(t, fmt.Sprint("peer ", p), n, 100_000, frame, time.Minute)
		}
	})
}

func TestThousandsOfPeersShareToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, rate, run = 3000, 256 << 20, time.Minute
		streams := make([]int, peers)
		for i := range streams {
			streams[i] = 1 + i%3
		}
		fair := float64(rate) * run.Seconds() / peers
		got := share(NewUpload(Config{Total: rate, PerPeer: rate / 100}), run, streams, fixed)
		for p, n := range got {
			if float64(n) < 0.9*fair || float64(n) > 1.1*fair {
				t.Fatalf("peer %d got %d bytes, its share is %.0f", p, n, fair)
			}
		}
	})
}

func TestEndOfContextEndsAWaitAndCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpload(Config{Total: 1000, PerPeer: 1000})
		if err := u.Wait(t.Context(), "a", 60_000); err != nil { // a minute of debt
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := make(chan error)
		for i := range 100 {
			go func() { errs <- u.Wait(ctx, fmt.Sprint(i%10), 1<<20) }()
		}
		for range 100 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		}
		if err := u.Wait(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an ended context was let through: %v", err)
		}
		begin := time.Now()
		if err := u.Wait(t.Context(), "b", 1); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin).Round(time.Second); d != 59*time.Second {
			t.Errorf("waited %v, want the 59 s that were left", d)
		}
		synctest.Wait() // the bubble fails if anything is left waiting
		if len(u.ready)+len(u.capped) != 0 {
			t.Errorf("%d and %d peers still queued", len(u.ready), len(u.capped))
		}
	})
}

func TestUploadLimitsChangeForThoseThatWaitAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpload(Config{Total: 1, PerPeer: 1})
		if err := u.Wait(t.Context(), "a", 1<<20); err != nil { // 12 days
			t.Fatal(err)
		}
		done := make(chan error)
		for _, p := range []string{"a", "b"} {
			go func() { done <- u.Wait(t.Context(), p, frame) }()
		}
		pass(time.Minute)
		u.Set(Config{Total: 1 << 20})
		begin := time.Now()
		if err := errors.Join(<-done, <-done); err != nil || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		u.Set(Config{PerPeer: 1})
		go func() { done <- u.Wait(t.Context(), "a", frame); done <- u.Wait(t.Context(), "a", frame) }()
		pass(time.Minute)
		u.Set(Config{})
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		if err := u.Wait(t.Context(), "a", 1<<30); err != nil {
			t.Error(err)
		}
	})
}

func TestScheduleLetsThoseGoThatWaitAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpload(Config{Total: 1, Schedule: []Hours{{From: 10, To: 60, Zone: time.UTC, Total: Unlimited}}})
		begin := time.Now()
		for range 2 {
			if err := u.Wait(t.Context(), "a", 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d < 10*time.Minute || d > 10*time.Minute+2*time.Second {
			t.Errorf("let go after %v", d)
		}
		if r := u.Rates(); r.Total != 0 {
			t.Errorf("rates %+v", r)
		}
	})
}

func TestIdlePeersOfUploadsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpload(Config{Total: 1 << 30, PerPeer: 10 << 20})
		for i := range 20_000 {
			if err := u.Wait(t.Context(), fmt.Sprint(i), frame); err != nil {
				t.Fatal(err)
			}
		}
		if len(u.peers) > 16*minSweep {
			t.Errorf("%d peers remembered", len(u.peers))
		}
		pass(time.Second)
		synctest.Wait()
		u.forget(time.Now())
		if len(u.peers) != 0 {
			t.Errorf("%d peers remembered for ever", len(u.peers))
		}
	})
}

func BenchmarkWait(b *testing.B) {
	u := NewUpload(Config{Total: 1 << 50})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := u.Wait(b.Context(), "a", frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
