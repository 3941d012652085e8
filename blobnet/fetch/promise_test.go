package fetch

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const simRate = 20e6

func TestFourSeedersGiveWhatTheyCan(t *testing.T) {
	for _, rtt := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(256)
			s := newSwarm(t, Config{})
			for i := range 4 {
				s.Add(simRanger{newSimPeer(fmt.Sprint("p", i), all, newPipe(simRate), rtt)})
			}
			took := simEach(t, s, wants)
			share := float64(len(wants)<<20) / took.Seconds() / (4 * simRate)
			t.Logf("round trip %v: %.1f %% of what four can give", rtt, 100*share)
			if share < 0.95 {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestOneSlowSeederOfFourCostsLittle(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(256)
			s := newSwarm(t, Config{})
			var peers []*simPeer
			for i := range 4 {
				rate := simRate
				if i == 1 {
					rate = 100e3
				}
				p := newSimPeer(fmt.Sprint("p", i), all, newPipe(rate), 20*time.Millisecond)
				peers = append(peers, p)
				if ranges {
					s.Add(simRanger{p})
				} else {
					s.Add(p)
				}
			}
			took := simEach(t, s, wants)
			total := int64(len(wants) << 20)
			share := float64(total) / took.Seconds() / (3 * simRate)
			var sent int64
			for _, p := range peers {
				sent += p.sent()
			}
			t.Logf("ranges %v: %.1f %% of what the other three can give, %.2f %% of bytes twice", ranges, 100*share, 100*float64(sent-total)/float64(total))
			if share < 0.90 || float64(sent-total) > 0.02*float64(total) {
				t.Errorf("took %v, %d bytes were sent for %d", took, sent, total)
			}
		})
	}
}

func TestRacesWasteLittleOfSmallFilesToo(t *testing.T) {
	for _, n := range []int{4, 16, 32} {
		for _, slow := range []float64{30e3, 300e3, 1e6} {
			t.Run(fmt.Sprintf("%d MiB, one at %.0f KB/s", n, slow/1e3), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all, wants := simBlobs(n)
					s := newSwarm(t, Config{})
					var peers []*simPeer
					for i := range 4 {
						rate := simRate
						if i == 1 {
							rate = slow
						}
						p := newSimPeer(fmt.Sprint("p", i), all, newPipe(rate), 20*time.Millisecond)
						peers = append(peers, p)
						s.Add(simRanger{p})
					}
					took := simEach(t, s, wants)
					total := int64(n << 20)
					var sent int64
					for _, p := range peers {
						sent += p.sent()
					}
					twice := float64(sent-total) / float64(total)
					least := time.Duration(float64(total) / (3 * simRate) * float64(time.Second))
					t.Logf("took %v of at least %v, %.2f %% twice", took, least, 100*twice)
					// Of a very small file the frame that has come is too much
					// already: then what is slow is waited for.
					most := 2*least + 1500*time.Millisecond
					if n < 16 {
						most += time.Duration(1 << 20 / slow * float64(time.Second))
					}
					if twice > 0.02 || took > most {
						t.Errorf("took %v, at least %v; %.2f %% twice", took, least, 100*twice)
					}
				})
			})
		}
	}
}

func TestFetchersOfOneSeederExchangeWhatTheyHave(t *testing.T) {
	const fetchers = 8
	run := func(n int, name func(int) string) (took time.Duration, sent int64) {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(128)
			up := newPipe(simRate)
			stores := make([]*blobMap, n)
			links := make([]*pipe, n)
			for i := range stores {
				stores[i], links[i] = newBlobMap(), newPipe(simRate)
			}
			seeders := make([]*simPeer, n)
			var wg sync.WaitGroup
			begun := time.Now()
			for i := range n {
				s := newSwarm(t, Config{Store: stores[i], Seed: uint64(i + 1), Name: name(i)})
				seeders[i] = newSimPeer("seeder", all, up, 10*time.Millisecond)
				s.Add(simRanger{seeders[i]})
				for j := range n {
					if j != i {
						s.Add(simRanger{newSimPeer(fmt.Sprint("p", j), stores[j], links[j], 10*time.Millisecond)})
					}
				}
				wg.Go(func() { simEach(t, s, wants) })
			}
			wg.Wait()
			took = time.Since(begun)
			for _, p := range seeders {
				sent += p.sent()
			}
		})
		return took, sent
	}
	named := func(i int) string { return fmt.Sprint("p", i) }
	one, _ := run(1, named)
	for what, name := range map[string]func(int) string{"by name": named, "by chance": func(int) string { return "" }} {
		eight, sent := run(fetchers, name)
		t.Logf("%s: one takes %v, eight take %v: %.2f times as long; the seeder sent %d MiB of 128", what, one, eight, eight.Seconds()/one.Seconds(), sent>>20)
		if eight > 2*one {
			t.Errorf("%s: one takes %v, eight take %v", what, one, eight)
		}
	}
}
