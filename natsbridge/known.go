package natsbridge

import (
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// run says which numbers of a log, or versions of a root, lie in the stream.
type run struct {
	upTo   uint64 // all of them from 1 on
	beyond map[uint64]struct{}
	top    uint64              // the highest
	doubts map[uint64]struct{} // something lies there, and nobody can say yet whether it is what should
}

// has reports whether there is nothing to be done about a number.
func (r *run) has(n uint64) bool {
	if _, doubted := r.doubts[n]; doubted {
		return false
	}
	_, ok := r.beyond[n]
	return ok || n <= r.upTo
}

// next is the first number that there may be something to be done about.
func (r *run) next() uint64 {
	first := r.upTo + 1
	for n := range r.doubts {
		first = min(first, n)
	}
	return first
}

func (r *run) add(n uint64) {
	delete(r.doubts, n)
	r.top = max(r.top, n)
	if n <= r.upTo {
		return
	}
	if r.beyond == nil {
		r.beyond = map[uint64]struct{}{}
	}
	r.beyond[n] = struct{}{}
	for {
		if _, ok := r.beyond[r.upTo+1]; !ok {
			return
		}
		r.upTo++
		delete(r.beyond, r.upTo)
	}
}

func (r *run) doubt(n uint64) {
	if r.doubts == nil {
		r.doubts = map[uint64]struct{}{}
	}
	r.doubts[n] = struct{}{}
	r.top = max(r.top, n)
}

// pass says that nothing is to be done up to a number.
func (r *run) pass(n uint64) {
	for d := range r.doubts {
		if d <= n {
			delete(r.doubts, d)
		}
	}
	r.upTo = max(r.upTo, n)
}

// held is what of one channel lies in the streams.
type held struct {
	root  run
	logs  map[channel.PublicKey]*run
	forks map[channel.Hash]bool
	heads map[channel.PublicKey]heldHead

	snapshots map[channel.PublicKey]heldHead
}

// heldHead is a head, or a snapshot, in its stream: its place there, by which it is
// replaced.
type heldHead struct {
	place  uint64
	digest digest
	spares digest       // of one of the ledger that need not go there: this one is newer, or the same
	of     channel.Hash // of the ledger's snapshot that was last put there, or need not be
	large  bool         // that one is in no message
}

func newHeld() *held {
	return &held{logs: map[channel.PublicKey]*run{}, forks: map[channel.Hash]bool{}, heads: map[channel.PublicKey]heldHead{}, snapshots: map[channel.PublicKey]heldHead{}}
}

func (h *held) log(key channel.PublicKey) *run {
	if h.logs[key] == nil {
		h.logs[key] = &run{}
	}
	return h.logs[key]
}

func (h *held) add(s subject) {
	switch s.kind {
	case kindRoot:
		h.root.add(s.seq)
	case kindManifest:
		h.log(s.log).add(s.seq)
	case kindFork:
		h.forks[s.hash] = true
	}
}

// empty reports whether nothing lies there but heads.
func (h *held) empty() bool { return h.root.top == 0 && len(h.logs) == 0 && len(h.forks) == 0 }

// doubt says that something lies under a subject of which the ledger cannot say
// whether it is what should.
func (h *held) doubt(s subject) {
	switch s.kind {
	case kindRoot:
		h.root.doubt(s.seq)
	case kindManifest:
		h.log(s.log).doubt(s.seq)
	case kindFork:
		h.forks[s.hash] = false
	}
}

func (h *held) has(s subject) bool {
	switch s.kind {
	case kindRoot:
		return h.root.has(s.seq)
	case kindManifest:
		return h.log(s.log).has(s.seq)
	}
	return h.forks[s.hash]
}

// stock is what lies in the streams of one connection, as far as it was looked
// at. It is safe for concurrent use.
type stock struct {
	mu       sync.Mutex // guards what follows; held for memory work alone
	channels map[channel.ID]*held
}

// with calls fn with what is known of a channel, if it was listed.
func (s *stock) with(id channel.ID, fn func(*held)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.channels[id]
	if h != nil {
		fn(h)
	}
	return h != nil
}

// open calls fn with what is known of a channel, also if that is nothing.
func (s *stock) open(id channel.ID, fn func(*held)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels == nil {
		s.channels = map[channel.ID]*held{}
	}
	if s.channels[id] == nil {
		s.channels[id] = newHeld()
	}
	fn(s.channels[id])
}

// set says that a channel was listed. Who lists it at the same time is too late.
func (s *stock) set(id channel.ID, listed func() *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels == nil {
		s.channels = map[channel.ID]*held{}
	}
	if s.channels[id] == nil {
		s.channels[id] = listed()
	}
}

// forget has the channel listed again: something was taken out of the stream.
func (s *stock) forget(id channel.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels, id)
}

// forgetAll has every channel listed again.
func (s *stock) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.channels)
}

// doubtful are the places in MANIFESTS of messages that wait for what is before
// them, since when. It is safe for concurrent use.
type doubtful struct {
	mu    sync.Mutex // guards since; held for memory work alone
	since map[uint64]time.Time
}

// add reports whether there is room for one more. What did not come again for long
// was taken out by somebody else.
func (d *doubtful) add(place uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == nil {
		d.since = map[uint64]time.Time{}
	}
	if _, again := d.since[place]; !again && len(d.since) >= maxDoubts {
		for p, at := range d.since {
			if time.Since(at) > 2*lastArrival {
				delete(d.since, p)
			}
		}
		if len(d.since) >= maxDoubts {
			return false
		}
	}
	d.since[place] = time.Now()
	return true
}

func (d *doubtful) drop(place uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.since, place)
}

// dirty are the channels whose ledger has moved, with a signal.
type dirty struct {
	mu   sync.Mutex // guards ids; held for memory work alone
	ids  map[channel.ID]struct{}
	wake chan struct{} // holds one
}

func newDirty() *dirty {
	return &dirty{ids: map[channel.ID]struct{}{}, wake: make(chan struct{}, 1)}
}

func (d *dirty) mark(ids ...channel.ID) {
	if len(ids) == 0 {
		return
	}
	d.mu.Lock()
	for _, id := range ids {
		d.ids[id] = struct{}{}
	}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dirty) take() []channel.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]channel.ID, 0, len(d.ids))
	for id := range d.ids {
		out = append(out, id)
	}
	clear(d.ids)
	return out
}
