package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// settled is how long a node has to be up to count as one that is in.
const settled = time.Minute

// watch notes who had which release when.
type watch struct {
	w *world

	mu       sync.Mutex
	logs     map[*author]*logbook // guarded by mu, as is all below
	nodes    map[*node]*presence
	delivery []time.Duration // to nodes that were in
	joining  []time.Duration // to nodes that had come less than settled before
	catchUp  []time.Duration // from coming back to having everything
	proofs   []time.Duration // of forks, from the second history on, or from coming back
	cut      int             // nodes that left before a release reached them
	slowest  slowest         // of delivery
	events   map[gossip.EventKind]int
	peak     uint64
}

type logbook struct {
	at      []time.Time // of the releases
	split   time.Time   // when a second history was published
	follows map[*node]*follow
}

// follow is how far one node is with one channel.
type follow struct {
	seq     uint64
	frozen  bool
	pending map[uint64]bool // published while it was up, and not there yet; of them, whether it was in
	need    uint64          // when it came back, there were so many; 0 once it has them
}

type presence struct {
	up    bool
	since time.Time
}

func newWatch(w *world) *watch {
	k := &watch{w: w, logs: make(map[*author]*logbook), nodes: make(map[*node]*presence), events: make(map[gossip.EventKind]int)}
	for _, a := range w.authors {
		k.logs[a] = &logbook{follows: make(map[*node]*follow)}
	}
	for _, n := range w.honest {
		k.nodes[n] = &presence{}
		for _, a := range n.follow {
			k.logs[a].follows[n] = &follow{pending: make(map[uint64]bool)}
		}
	}
	return k
}

func (k *watch) event(e gossip.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events[e.Kind]++
}

func (k *watch) memory(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.peak = max(k.peak, n)
}

// forgot: the node starts with nothing.
func (k *watch) forgot(n *node) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range n.follow {
		if f := k.logs[a].follows[n]; f != nil {
			f.seq, f.frozen = 0, false
		}
	}
}

func (k *watch) up(n *node) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nodes[n] == nil {
		return // one of an adversary's
	}
	*k.nodes[n] = presence{up: true, since: time.Now()}
	for _, a := range n.follow {
		book := k.logs[a]
		f := book.follows[n]
		if have := uint64(len(book.at)); f.seq < have && !a.forked {
			f.need = have
		}
	}
}

func (k *watch) down(n *node) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nodes[n] == nil {
		return
	}
	k.nodes[n].up = false
	for _, a := range n.follow {
		f := k.logs[a].follows[n]
		k.cut += len(f.pending)
		clear(f.pending)
		f.need = 0
	}
}

func (k *watch) published(a *author) {
	k.mu.Lock()
	defer k.mu.Unlock()
	book := k.logs[a]
	now := time.Now()
	book.at = append(book.at, now)
	seq := uint64(len(book.at))
	for n, f := range book.follows {
		if p := k.nodes[n]; p.up && f.seq < seq {
			f.pending[seq] = now.Sub(p.since) >= settled
		}
	}
}

// split: a second history of the channel has been published.
func (k *watch) split(a *author) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logs[a].split = time.Now()
}

// changed hears what moved a node's ledger.
func (k *watch) changed(n *node, o feed.Outcome) {
	a := k.w.byID[o.Channel]
	if a == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	book := k.logs[a]
	f := book.follows[n]
	if f == nil {
		return
	}
	now := time.Now()
	if o.Proof != nil && !f.frozen {
		f.frozen = true
		since := book.split
		if up := k.nodes[n].since; up.After(since) {
			since = up
		}
		k.proofs = append(k.proofs, now.Sub(since))
	}
	if o.Kind != feed.KindManifest || o.Verdict != feed.Accepted {
		return
	}
	f.seq = o.Seq
	if in, ok := f.pending[o.Seq]; ok {
		delete(f.pending, o.Seq)
		took := now.Sub(book.at[o.Seq-1])
		if in {
			k.delivery = append(k.delivery, took)
			if took > k.slowest.Took {
				k.slowest = slowest{Took: took, Followers: len(book.follows), Up: k.count(book)}
			}
		} else {
			k.joining = append(k.joining, took)
		}
	}
	if f.need > 0 && f.seq >= f.need {
		f.need = 0
		k.catchUp = append(k.catchUp, now.Sub(k.nodes[n].since))
	}
}

// count is how many honest followers of a channel are up. k.mu is held.
func (k *watch) count(book *logbook) (up int) {
	for n := range book.follows {
		if k.nodes[n].up {
			up++
		}
	}
	return up
}

// newest is how many releases of a channel there are.
func (k *watch) newest(a *author) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return uint64(len(k.logs[a].at))
}

func (k *watch) line() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	up, waiting := 0, 0
	for _, p := range k.nodes {
		if p.up {
			up++
		}
	}
	for _, book := range k.logs {
		for _, f := range book.follows {
			waiting += len(f.pending)
			if f.need > 0 {
				waiting++
			}
		}
	}
	return fmt.Sprintf("%d of %d up, %d deliveries, %d to come, %d misbehaved", up, len(k.nodes), len(k.delivery)+len(k.joining), waiting, k.events[gossip.EventMisbehaved])
}
