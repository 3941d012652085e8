package tracker

import (
	"context"
	"slices"
	"sync"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxExplore bounds the look-ups that one region takes. With each finding
	// some ten peers that the ones before did not, twice as many as there
	// are in a region are known by then; more look like an attack.
	maxExplore = 24

	// maxRegion bounds the peers that are kept of one region.
	maxRegion = maxExplore * replicas

	// connections bounds the peers that one batch is being stored with at
	// the same time.
	connections = 20

	// deepest is the longest prefix that a look-up can be aimed at.
	deepest = 16
)

// region is a part of the DHT's space, and the peers in it and around it.
type region struct {
	point    point // the first bits of it are the region
	bits     int
	complete bool // all peers of the region are known, and at least replicas or all there are
	peers    []spot
}

// spot is a peer and where it lies.
type spot struct {
	peer  peer.ID
	point point
}

// add adds peers that are not known.
func (r *region) add(peers []peer.ID) {
	for _, p := range peers {
		if len(r.peers) >= maxRegion {
			return
		}
		if !slices.ContainsFunc(r.peers, func(s spot) bool { return s.peer == p }) {
			r.peers = append(r.peers, spot{p, peerPoint(p)})
		}
	}
}

// sortByDistance puts the peers first that are closest to p.
func sortByDistance(spots []spot, p point) {
	slices.SortFunc(spots, func(a, b spot) int {
		switch {
		case p.closer(a.point, b.point):
			return -1
		case p.closer(b.point, a.point):
			return 1
		}
		return 0
	})
}

// reach is how many bits the peers that a look-up found all share with the
// point looked for. Peers that share more than that are all among them.
func reach(p point, found []peer.ID) int {
	bits := 8 * len(p)
	for _, f := range found {
		bits = min(bits, p.shared(peerPoint(f)))
	}
	return bits
}

// look finds the peers closest to key, and the largest region around it that
// at least as many peers are in as a record has copies.
func (t *table) look(ctx context.Context, key Key) region {
	// Whom it found until an error is good enough; none is no error here.
	found, _ := t.dht.GetClosestPeers(ctx, string(key.multihash()))
	r := region{point: key.point()}
	r.add(found)
	if len(found) < replicas && !t.crowded() {
		r.complete = true // these are all there are, or that can be reached
		r.add(t.few())
		return r
	}
	// With too few found although there are more, for lack of time or because
	// many do not answer, the region is the smaller.
	r.bits = reach(r.point, found)
	return r
}

// explore looks up points of the region around those that are covered already,
// until all of it is. See reach: a look-up that found peers sharing d bits or
// more has covered all that share d+1.
func (t *table) explore(ctx context.Context, r *region) {
	type prefix struct {
		point point
		bits  int
	}
	open := []prefix{{r.point.flip(r.bits), r.bits + 1}}
	for looked := 0; len(open) > 0; looked++ {
		next := open[len(open)-1]
		open = open[:len(open)-1]
		if looked == maxExplore || next.bits > deepest || ctx.Err() != nil {
			return
		}
		// The id returned differs from the point given at exactly that bit.
		other := next.point.flip(next.bits - 1)
		target, err := kb.GenRandPeerIDWithCPL(other[:], uint(next.bits-1))
		if err != nil {
			return
		}
		found, err := t.dht.GetClosestPeers(ctx, string(target))
		if err != nil {
			return
		}
		r.add(found)
		if len(found) < replicas {
			continue
		}
		at := peerPoint(target)
		for i := next.bits; i <= reach(at, found); i++ {
			open = append(open, prefix{at.flip(i), i + 1})
		}
	}
	r.complete = true
}

// store stores the records of keys with the peers closest to each of them, over
// one stream to each peer, and returns with how many it did so.
func (t *table) store(ctx context.Context, r *region, keys []Key) []int {
	for _, k := range keys {
		t.keep(ctx, k)
	}
	copies := make([]int, len(keys))
	messages, err := t.messages(keys)
	if err != nil {
		return copies // nobody could come
	}
	toldOf := make(map[peer.ID][]int) // indexes of the keys to tell a peer of
	spots := slices.Clone(r.peers)
	for i, k := range keys {
		if len(spots) > replicas {
			sortByDistance(spots, k.point())
		}
		for _, s := range spots[:min(len(spots), replicas)] {
			toldOf[s.peer] = append(toldOf[s.peer], i)
		}
	}
	all := make([]int, len(keys))
	for i := range keys {
		all[i] = i
	}
	for _, p := range t.nearMembers() {
		toldOf[p] = all
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards copies
		slot = make(chan struct{}, connections)
	)
	for p, indexes := range toldOf {
		slot <- struct{}{} // who holds one gives it back within its deadlines
		wg.Go(func() {
			defer func() { <-slot }()
			if t.tell(ctx, p, messages, indexes) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, i := range indexes {
				copies[i]++
			}
		})
	}
	wg.Wait()
	return copies
}
