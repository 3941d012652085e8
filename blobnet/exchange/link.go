package exchange

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// cancelGrace is how long a cancelled Get waits for the rest of the one
	// frame that is being read into its caller's memory before it gives the
	// stream up.
	cancelGrace = 250 * time.Millisecond
	// maxQueued is how many bytes of frames may wait to be sent on a link.
	maxQueued = 1 << 20
	// firstRequests is how many requests may be open before the peer has
	// said how many it takes.
	firstRequests = 64
)

// link is one stream to a peer, with the requests that are open on it. One
// goroutine reads and completes calls, one writes.
type link struct {
	s       *timed
	name    string // the peer's
	cfg     *Config
	proofs  *sync.Pool // of *[]byte
	fr      *frameReader
	flood   *rate.Limiter      // of frames that answer nothing
	have    func([]blobnet.ID) // told of an unasked HAVE
	written chan struct{}      // has a token when out has something
	done    chan struct{}      // closed when the link has ended and err is final
	sent    atomic.Int64       // bytes written since the last report
	came    *atomic.Int64      // bytes of blobs and proofs that came, wanted or not
	opened  time.Time

	answered func(time.Duration) // told of times to answers that waited behind none; may be nil

	mu    sync.Mutex // guards what follows; never held across I/O
	err   error      // why the link ends; nil while it lives
	idle  bool       // it ended in order
	calls map[uint32]*call
	order list.List     // of *call, as they were sent
	next  uint32        // the last request id used
	limit int           // how many requests the peer queues
	plain bool          // the peer has said that it serves no ranges
	lost  Counts        // bytes received since the last report that are of no use
	out   []byte        // encoded frames to be sent
	room  chan struct{} // if not nil, closed when the link may not be full any more
}

// call is one REQUEST or WANT that has not had its last frame.
type call struct {
	req      uint32
	want     []blobnet.ID  // of a WANT
	proof    int           // of a range: the size of the proof that has to come
	has      []byte        // the answer to it
	dst      []byte        // the blob is appended here; a proof has memory of its own
	got      int           // bytes of the blob or the proof that came
	came     *atomic.Int64 // the same for who asked, if not nil
	total    int           // their number in all; -1 until the first frame
	finished chan struct{}
	err      error // set before finished is closed

	// The rest is guarded by link.mu.
	over    bool          // finished is closed; what still comes is discarded
	twice   bool          // because another peer gave the blob
	reading bool          // the reading goroutine writes to dst
	waiter  chan struct{} // if not nil, closed when reading ends
	touched time.Time     // when its last frame came in time, or it became the oldest
	begun   time.Time     // when its first RESPONSE came
	elem    *list.Element
	asked   time.Time // if no other was open then
}

func newLink(s stream, name string, cfg *Config, proofs *sync.Pool, have func([]blobnet.ID)) *link {
	l := &link{
		s: &timed{stream: s}, name: name, cfg: cfg, proofs: proofs, have: have,
		flood:   rate.NewLimiter(idleFrameRate, idleFrameBurst),
		written: make(chan struct{}, 1),
		done:    make(chan struct{}),
		came:    new(atomic.Int64),
		opened:  time.Now(),
		calls:   make(map[uint32]*call),
		limit:   firstRequests,
	}
	l.fr = newFrameReader(l.s, func() { l.s.readWithin(cfg.StallTimeout) })
	l.out = appendFrame(nil, frame{typ: typeHandshake, version: version, features: featureRanges})
	return l
}

// begin sends c as f, whose request id it chooses. It does not wait: if the
// link is full it does nothing and returns a channel that is closed when that
// may have changed.
func (l *link) begin(c *call, f frame) (full <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if f.flags == flagProof && l.plain {
		return nil, fmt.Errorf("the peer serves no ranges: %w", errors.ErrUnsupported)
	}
	if len(l.calls) >= l.limit || len(l.out) > maxQueued {
		if l.room == nil {
			l.room = make(chan struct{})
		}
		return l.room, nil
	}
	for l.next++; l.next == 0 || l.calls[l.next] != nil; l.next++ {
	}
	c.req, f.req = l.next, l.next
	c.total = -1
	c.finished = make(chan struct{})
	c.touched = time.Now()
	c.elem = l.order.PushBack(c)
	l.calls[c.req] = c
	l.out = appendFrame(l.out, f)
	if len(l.calls) == 1 {
		c.asked = c.touched
		l.s.readWithin(l.cfg.StallTimeout) // the link was idle
	}
	notify(l.written)
	return nil, nil
}

// hasRoom tells those that found the link full. l.mu is held.
func (l *link) hasRoom() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// tell sends f, which has no answer.
func (l *link) tell(f frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if len(l.out) > maxQueued {
		return &BusyError{After: time.Second}
	}
	l.out = appendFrame(l.out, f)
	notify(l.written)
	return nil
}

// wait returns when c is over or ctx ends. After it nobody writes to c.dst.
func (l *link) wait(ctx context.Context, c *call) error {
	select {
	case <-c.finished:
		return c.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	c.twice = !c.over && errors.Is(context.Cause(ctx), blobnet.ErrGiven)
	l.giveUp(c, ctx.Err())
	var reading chan struct{}
	if c.reading {
		c.waiter = make(chan struct{})
		reading = c.waiter
	}
	l.mu.Unlock()
	if reading != nil {
		grace := time.NewTimer(cancelGrace)
		defer grace.Stop()
		select {
		case <-reading:
		case <-grace.C:
			l.kill(ErrStalled)
			<-reading
		}
	}
	return c.err
}

// giveUp finishes c with err and asks the peer to stop. c keeps its place
// until the peer's last frame for it. l.mu is held.
func (l *link) giveUp(c *call, err error) {
	if c.over {
		return
	}
	c.over, c.err = true, err
	close(c.finished)
	l.out = appendFrame(l.out, frame{typ: typeCancel, req: c.req})
	notify(l.written)
}

// finish removes c after its last frame. l.mu is held.
func (l *link) finish(c *call, err error) {
	delete(l.calls, c.req)
	l.hasRoom()
	first := l.order.Front() == c.elem
	l.order.Remove(c.elem)
	if front := l.order.Front(); first && front != nil {
		front.Value.(*call).touched = time.Now()
	}
	switch {
	case c.over && c.twice:
		l.lost.Duplicate += int64(c.got)
	case c.over || err != nil:
		l.lost.Wasted += int64(c.got)
	}
	if !c.over {
		c.over, c.err = true, err
		close(c.finished)
	}
	if c.waiter != nil {
		close(c.waiter)
		c.waiter = nil
	}
}

// kill makes the link end with err, without waiting for it.
func (l *link) kill(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.s.interrupt()
}

// report tells what was moved since the last report, and that more was received
// of what is not counted by the link itself: the bytes of blobs that came whole.
func (l *link) report(more Counts) {
	if l.cfg.OnTraffic == nil {
		return
	}
	l.mu.Lock()
	more.Duplicate += l.lost.Duplicate
	more.Wasted += l.lost.Wasted
	l.lost = Counts{}
	l.mu.Unlock()
	more.Overhead += l.fr.heads.Swap(0)
	sent := Counts{Overhead: l.sent.Swap(0)}
	if more != (Counts{}) || sent != (Counts{}) {
		l.cfg.OnTraffic(l.name, more, sent)
	}
}

// load is how many calls are open, and whether the link takes more.
func (l *link) load() (calls int, alive bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls), l.err == nil
}

// write sends queued frames, as many as there are in one write, until the link
// ends.
func (l *link) write() {
	var spare []byte
	for {
		l.mu.Lock()
		out := l.out
		l.out = spare[:0]
		if len(out) > 0 {
			l.hasRoom()
		}
		l.mu.Unlock()
		spare = out
		if len(out) > 0 {
			l.s.writeWithin(l.cfg.StallTimeout)
			n, err := l.s.Write(out)
			l.sent.Add(int64(n))
			if err != nil {
				if isTimeout(err) {
					l.kill(ErrStalled)
				} else {
					l.kill(fmt.Errorf("%w: %w", ErrLost, err))
				}
				return
			}
			continue
		}
		select {
		case <-l.written:
		case <-l.done:
			return
		}
	}
}
