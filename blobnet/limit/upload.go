package limit

import (
	"container/heap"
	"container/list"
	"context"
	"sync"
	"time"
)

// Upload limits what is sent, and shares a full uplink between the peers that
// want something, each by the bytes that it got and not by how many streams or
// requests it has: the next to send is the peer that had the least (start-time
// fair queueing). It is an exchange.Limiter. Its methods may be called from many
// goroutines at once.
//
// The uplink counts as full when Config.Total says so: without that, nothing
// is ever held back for another peer. To a peer with many identities each of
// them is a peer; what keeps him from a larger share is the number of
// connections that the host lets one address have.
type Upload struct {
	mu      sync.Mutex
	current current // guarded by mu
	total   bucket  // guarded by mu

	// virtual is how many bytes a peer that always waited would have got by
	// now: where one that comes new begins. Guarded by mu.
	virtual float64

	peers   map[string]*uploader // guarded by mu: those that wait, owe, or were ahead; and some more
	sweepAt int                  // guarded by mu: at so many peers those to be forgotten are
	ready   readyHeap            // guarded by mu: wait, and their own limit lets them go
	capped  cappedHeap           // guarded by mu: wait for their own limit

	timer *time.Timer // guarded by mu: calls dispatch; nil before it was first needed
}

// uploader is a peer. Upload.mu guards its fields.
type uploader struct {
	own     bucket
	virtual float64   // as Upload.virtual, when its next bytes are sent
	until   time.Time // in capped: when own lets it go
	waiting list.List // of *waiter, in order of arrival
	ready   bool      // in which heap it is, if waiting is not empty
	index   int       // in there
}

type waiter struct {
	n    int
	done chan struct{} // closed when granted
}

// NewUpload returns an Upload that keeps to cfg. It starts nothing.
func NewUpload(cfg Config) *Upload {
	u := &Upload{peers: make(map[string]*uploader), sweepAt: minSweep}
	u.Set(cfg)
	return u
}

// Set replaces the configuration, also for those that wait already. What was
// sent beyond a limit before is paid off at the new rate.
func (u *Upload) Set(cfg Config) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.current.set(cfg, now)
	u.apply(now)
	u.dispatch(now)
}

// Rates returns the limits that hold now. Those of classes mean nothing here.
func (u *Upload) Rates() Rates {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.update(time.Now())
	return u.current.rates
}

// Wait returns nil as soon as n bytes may be sent to peer, having counted
// them, or ctx's error, having counted nothing. The n of one call should be
// some tens of KiB: it is sent in one go. Calls for one peer are served in
// order.
func (u *Upload) Wait(ctx context.Context, peer string, n int) error {
	if err := ctx.Err(); err != nil || n <= 0 {
		return err
	}
	u.mu.Lock()
	now := time.Now()
	u.update(now)
	if r := u.current.rates; r.Total == 0 && r.PerPeer == 0 {
		u.mu.Unlock()
		return nil
	}
	p := u.peer(peer, now)
	w := &waiter{n: n, done: make(chan struct{})}
	e := p.waiting.PushBack(w)
	if p.waiting.Len() == 1 {
		u.enqueue(p, now)
	}
	u.dispatch(now)
	u.mu.Unlock()

	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-w.done:
		return nil // and the bytes are counted: use it
	default:
	}
	if p.waiting.Remove(e); p.waiting.Len() == 0 {
		u.dequeue(p)
		u.rearm(time.Now()) // it may have been the only one to wait for
	}
	return ctx.Err()
}

// peer returns what is known of a peer; new ones begin at the present.
func (u *Upload) peer(name string, now time.Time) *uploader {
	p := u.peers[name]
	if p != nil {
		return p
	}
	if len(u.peers) >= u.sweepAt {
		u.forget(now)
	}
	p = &uploader{virtual: u.virtual}
	p.own.set(u.current.rates.PerPeer, now)
	u.peers[name] = p
	return p
}

// forget drops the peers that are as good as new ones.
func (u *Upload) forget(now time.Time) {
	alone := len(u.ready) == 0 // then being ahead costs nobody anything
	for name, p := range u.peers {
		if p.waiting.Len() == 0 && p.own.idle(now) && (alone || p.virtual <= u.virtual) {
			delete(u.peers, name)
		}
	}
	u.sweepAt = max(minSweep, 2*len(u.peers))
}

func (u *Upload) update(now time.Time) {
	if u.current.update(now) {
		u.apply(now)
	}
}

// apply brings the buckets to the rates that hold, and the peers that wait
// back into the right heap.
func (u *Upload) apply(now time.Time) {
	r := u.current.rates
	u.total.set(r.Total, now)
	for _, p := range u.peers {
		p.own.set(r.PerPeer, now)
		if p.waiting.Len() > 0 {
			u.dequeue(p)
			u.enqueue(p, now)
		}
	}
}

// enqueue puts a peer that waits into the heap where it belongs. What a peer
// did not want, or its own limit did not let it have, is no credit for later.
func (u *Upload) enqueue(p *uploader, now time.Time) {
	if wait := p.own.wait(now); wait > 0 {
		p.ready, p.until = false, now.Add(wait)
		heap.Push(&u.capped, p)
		return
	}
	p.ready, p.virtual = true, max(p.virtual, u.virtual)
	heap.Push(&u.ready, p)
}

func (u *Upload) dequeue(p *uploader) {
	if p.ready {
		heap.Remove(&u.ready, p.index)
	} else {
		heap.Remove(&u.capped, p.index)
	}
}

// dispatch grants what may be sent at this time, and sees to it that it is
// called again when there may be more. u.mu is held.
func (u *Upload) dispatch(now time.Time) {
	for len(u.capped) > 0 && !u.capped[0].until.After(now) {
		p := heap.Pop(&u.capped).(*uploader)
		u.enqueue(p, now)
	}
	for len(u.ready) > 0 && u.total.wait(now) == 0 {
		p := u.ready[0]
		w := p.waiting.Remove(p.waiting.Front()).(*waiter)
		u.virtual = p.virtual
		p.virtual += float64(w.n)
		u.total.take(w.n)
		p.own.take(w.n)
		close(w.done)
		u.dequeue(p)
		if p.waiting.Len() > 0 {
			u.enqueue(p, now)
		}
	}
	u.rearm(now)
}

// rearm sets the one timer to when something may be granted next.
func (u *Upload) rearm(now time.Time) {
	wait := time.Duration(-1)
	if len(u.ready) > 0 {
		wait = u.total.wait(now)
	}
	if len(u.capped) > 0 {
		if d := max(u.capped[0].until.Sub(now), 0); wait < 0 || d < wait {
			wait = d
		}
	}
	switch {
	case wait < 0:
		if u.timer != nil {
			u.timer.Stop()
		}
	case u.timer == nil:
		u.timer = time.AfterFunc(wait, u.tick)
	default:
		u.timer.Reset(wait)
	}
}

// tick is what the timer calls.
func (u *Upload) tick() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.update(now)
	u.dispatch(now)
}

// readyHeap has the peer first that had the least.
type readyHeap []*uploader

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].virtual < h[j].virtual }
func (h readyHeap) Swap(i, j int)      { swap(h, i, j) }
func (h *readyHeap) Push(x any)        { push((*[]*uploader)(h), x) }
func (h *readyHeap) Pop() any          { return pop((*[]*uploader)(h)) }

// cappedHeap has the peer first whose own limit lets it go soonest.
type cappedHeap []*uploader

func (h cappedHeap) Len() int           { return len(h) }
func (h cappedHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h cappedHeap) Swap(i, j int)      { swap(h, i, j) }
func (h *cappedHeap) Push(x any)        { push((*[]*uploader)(h), x) }
func (h *cappedHeap) Pop() any          { return pop((*[]*uploader)(h)) }

func swap(h []*uploader, i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func push(h *[]*uploader, x any) {
	p := x.(*uploader)
	p.index = len(*h)
	*h = append(*h, p)
}

func pop(h *[]*uploader) any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return p
}
