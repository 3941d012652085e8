package fetch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// talker is a simPeer that can be told what the one who asks has.
type talker struct {
	*simPeer
	heard func(ids []blobnet.ID)
}

func (t talker) Announce(ctx context.Context, ids []blobnet.ID) error {
	err := delay(ctx, t.rtt/2)
	t.heard(ids)
	return err
}

func TestThoseWhoGetTheSameTellEachOtherWhatTheyGotAndAskSeldom(t *testing.T) {
	const fetchers = 4
	run := func(tell bool) (took time.Duration, asked, told int) {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(64)
			up := newPipe(4e6)
			var stores []*blobMap
			var swarms []*Swarm
			var links []*pipe
			for i := range fetchers {
				stores, links = append(stores, newBlobMap()), append(links, newPipe(simRate))
				swarms = append(swarms, newSwarm(t, Config{Store: stores[i], Seed: uint64(i + 1), Name: fmt.Sprint("p", i)}))
			}
			var mu sync.Mutex
			var peers []*simPeer
			var work sync.WaitGroup
			begun := time.Now()
			for i, s := range swarms {
				s.Add(newSimPeer("seeder", all, up, 10*time.Millisecond))
				for j := range fetchers {
					if j == i {
						continue
					}
					p := newSimPeer(fmt.Sprint("p", j), stores[j], links[j], 10*time.Millisecond)
					peers = append(peers, p)
					if !tell {
						s.Add(p)
						continue
					}
					s.Add(talker{p, func(ids []blobnet.ID) {
						has, _ := stores[i].Has(t.Context(), ids...)
						for _, ok := range has {
							if !ok {
								t.Error("a blob was told of that is not there")
							}
						}
						mu.Lock()
						told += len(ids)
						mu.Unlock()
						swarms[j].Told(fmt.Sprint("p", i), ids)
					}})
				}
				work.Go(func() { simEach(t, s, wants) })
			}
			work.Wait()
			took = time.Since(begun)
			for _, p := range peers {
				asked += p.haves
			}
		})
		return took, asked, told
	}
	silent, often, _ := run(false)
	took, asked, told := run(true)
	t.Logf("silent: %v, asked %d times; telling: %v, asked %d times, %d ids told", silent, often, took, asked, told)
	if asked > often/3 || told == 0 || took > silent*5/4 {
		t.Errorf("silent: %v, asked %d times; telling: %v, asked %d times, %d ids told", silent, often, took, asked, told)
	}
}
