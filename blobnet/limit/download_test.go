package limit

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// pull takes n bytes at a time until the time is over, as soon as it may and
// late after that, and returns how many bytes it got.
func pull(d *Download, peer string, class blobnet.Class, n int, for_, late time.Duration) int64 {
	var got int64
	for begin := time.Now(); time.Since(begin) < for_; {
		if wait := d.Take(peer, class, n); wait > 0 {
			pass(wait + late)
			continue
		}
		got += int64(n)
	}
	return got
}

// near wants got within the burst and one request of rate x time.
func near(t *testing.T, what string, got, rate int64, n int, d time.Duration) {
	t.Helper()
	exact := float64(rate) * d.Seconds()
	slack := float64(rate)*burst.Seconds() + float64(n)
	if math.Abs(float64(got)-exact) > slack {
		t.Errorf("%s: got %d bytes in %v, want %.0f give or take %.0f", what, got, d, exact, slack)
	}
}

func TestLongRunRateOfDownloadsIsExact(t *testing.T) {
	const run = time.Minute
	for _, rate := range []int64{1_000, 1_000_000, 100_000_000} {
		for _, n := range []int{16 << 10, 2 << 20} {
			for _, late := range []time.Duration{0, 20 * time.Millisecond} {
				synctest.Test(t, func(t *testing.T) {
					d := NewDownload(Config{Total: rate})
					near(t, fmt.Sprintf("%d/s by %d, %v late", rate, n, late), pull(d, "a", blobnet.Foreground, n, run, late), rate, n, run)
				})
			}
		}
	}
}

func TestEveryLimitOfDownloadsHolds(t *testing.T) {
	for name, c := range map[string]Config{
		"total": {Total: 5000, PerPeer: 9000, Class: [4]int64{0, 8000}},
		"peer":  {Total: 6000, PerPeer: 5000, Class: [4]int64{0, 8000}},
		"class": {Total: 6000, PerPeer: 9000, Class: [4]int64{1, 5000, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			near(t, name, pull(NewDownload(c), "a", blobnet.Foreground, 1000, time.Minute, 0), 5000, 1000, time.Minute)
		})
	}
}

func TestWhatIsRefusedIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDownload(Config{Total: 1000, PerPeer: 100})
		if d.Take("a", 0, 50) != 0 {
			t.Fatal("refused at first")
		}
		for range 1000 {
			if d.Take("a", 0, 5000) == 0 {
				break
			}
		}
		// a owes; the total does not know what a was refused.
		if wait := d.Take("a", 0, 1); wait == 0 || wait > maxWait {
			t.Errorf("a has to wait %v", wait)
		}
		if d.total.tokens != 50 {
			t.Errorf("%v bytes left of the total, want 50 of 100", d.total.tokens)
		}
		pass(5 * time.Second)
		if wait := d.Take("b", 0, 10); wait != 0 {
			t.Errorf("b has to wait %v", wait)
		}
	})
}

func TestLessUrgentClassesStandBackWhileTheTotalIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDownload(Config{Total: 100_000})
		const run = time.Minute
		got := make(chan [2]int64)
		for _, c := range []blobnet.Class{blobnet.Repair, blobnet.Prefetch, blobnet.Stream} {
			for i := range 3 {
				go func() {
					got <- [2]int64{int64(c), pull(d, fmt.Sprint(c, i), c, 16<<10, run, time.Millisecond)}
				}()
			}
		}
		var sum [blobnet.Classes]int64
		for range 9 {
			g := <-got
			sum[g[0]] += g[1]
		}
		if sum[blobnet.Stream] < 9*100_000*6 {
			t.Errorf("bytes by class %v: stream is not first", sum)
		}
		near(t, "all", sum[0]+sum[1]+sum[2]+sum[3], 100_000, 16<<10, run)
		if wait := d.Take("z", blobnet.Repair, 1); wait > maxWait {
			t.Errorf("wait %v", wait)
		}
		pass(maxWait + reserved)
		if wait := d.Take("z", blobnet.Repair, 1); wait != 0 {
			t.Errorf("still standing back (%v) with nobody before", wait)
		}
	})
}

func TestDownloadLimitsChangeWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDownload(Config{})
		if d.Take("a", 0, 1<<30) != 0 {
			t.Fatal("a limit where none is")
		}
		d.Set(Config{Total: 1000, PerPeer: 1000})
		near(t, "limited", pull(d, "a", 0, 100, time.Minute, 0), 1000, 100, time.Minute)
		d.Take("a", 0, 1<<20) // 17 min of debt
		d.Set(Config{Total: 1 << 20, PerPeer: 1 << 20})
		near(t, "faster", pull(d, "a", 0, 1<<10, time.Minute, 0), 1<<20, 1<<20, time.Minute)
		d.Set(Config{})
		if d.Take("a", 0, 1<<30) != 0 {
			t.Error("the limit was not lifted")
		}
	})
}

func TestScheduleTakesEffectWithinASecondAlsoWhenTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock begins at midnight UTC.
		d := NewDownload(Config{Total: 1000, Schedule: []Hours{{From: 60, To: 120, Zone: time.UTC, Total: 5000}}})
		pass(time.Hour - time.Minute)
		near(t, "before", pull(d, "a", 0, 100, time.Minute-time.Second, 0), 1000, 100, time.Minute-time.Second)
		pass(2 * time.Second)
		near(t, "at the hour", pull(d, "a", 0, 100, time.Minute, 0), 5000, 100, time.Minute)
		var shift time.Duration
		d.current.wall = func(now time.Time) time.Time { return now.Add(shift) }
		for _, s := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
			shift = s
			near(t, "set by a day", pull(d, "a", 0, 100, time.Minute, 0), 5000, 100, time.Minute)
		}
		shift = -time.Hour
		pull(d, "a", 0, 100, recheck, 0)
		near(t, "set to before", pull(d, "a", 0, 100, time.Minute, 0), 1000, 100, time.Minute)
	})
}

func TestIdlePeersOfDownloadsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDownload(Config{PerPeer: 1 << 20})
		for i := range 20_000 {
			d.Take(fmt.Sprint(i), 0, 16<<10)
			pass(time.Millisecond)
		}
		if len(d.peers) > 4*minSweep {
			t.Errorf("%d peers remembered", len(d.peers))
		}
	})
}

func BenchmarkTake(b *testing.B) {
	d := NewDownload(Config{Total: 1 << 40, PerPeer: 1 << 40})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Take("a", blobnet.Foreground, 16<<10)
		}
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }
