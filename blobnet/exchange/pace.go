package exchange

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// leastPayload is the least data that a frame has under an upload limit,
	// if there is as much, and firstPayload what a stream's first has.
	leastPayload = 1 << 10
	firstPayload = 4 << 10
	// growEvery is how often frames may become twice as large: not at once,
	// where the limit lets many streams send at first and then few.
	growEvery = 50 * time.Millisecond
	// quickWait and longWait are how long the limit may keep a frame before
	// frames become larger, or smaller.
	quickWait = 200 * time.Millisecond
	longWait  = 500 * time.Millisecond
	// memory is for how long it is remembered how fast bytes went: what was sent
	// so long ago counts for a third.
	memory = 5 * time.Second
	// maxQueueTime is how much sending, at the rate of late, may be queued
	// under an upload limit before further requests get BUSY.
	maxQueueTime = time.Minute
)

// pace is what a session knows of the upload limit. The limit may let bytes go
// seldom, for many peers share it; frames are then small, so that the peer gets
// one every now and then and does not take the stream for stalled.
type pace struct {
	limit Limiter // nil: none
	name  string  // of the peer, for the limiter
	crowd *crowd
	fair  int // bytes per second that each stream should get

	// For the writer alone.
	data   int           // how much of it a frame has
	grown  time.Time     // when that last became more
	paused time.Duration // how long a frame has waited that was put off

	mu      sync.Mutex // guards what follows; never held across I/O
	ctx     context.Context
	wake    context.CancelFunc // if not nil, ends ctx and so the writer's waiting
	sending bool               // a batch is being sent, or about to be
	held    bool               // the limit makes this session wait, or nothing is known yet
	slow    bool               // counted in crowd.slow
	bytes   float64            // that were sent of late, and how many
	waits   float64            // seconds they waited: the older ones count for less
	noted   time.Time          // when something was added to these
	size    float64            // bytes of an answer, of late; 0: unknown
}

// payload is how much data the next frame may have.
func (p *pace) payload() int {
	if p.limit == nil {
		return sendPayload
	}
	if p.data == 0 {
		p.data, p.grown = firstPayload, time.Now()
	}
	return p.data
}

// interrupt makes the writer look for what else there is to do.
func (p *pace) interrupt() {
	if p.limit == nil {
		return
	}
	p.mu.Lock()
	if p.wake != nil {
		p.wake()
		p.wake, p.ctx = nil, nil // waiting makes new ones
	}
	p.mu.Unlock()
}

// crowd is what all sessions know of the upload limit.
type crowd struct {
	sending atomic.Int32 // sessions that send a batch
	slow    atomic.Int32 // those that get less than they should
}

// full reports whether so many share the upload limit that most get too little:
// who comes now had better wait until some are done.
func (c *crowd) full() bool { return 2*c.slow.Load() > c.sending.Load() }

// handed takes note that the writer gets a batch.
func (p *pace) handed() {
	if p.limit == nil {
		return
	}
	p.mu.Lock()
	p.sending = true
	p.mu.Unlock()
}

// begin is called at the beginning of every batch, end at its end.
func (p *pace) begin() {
	if p.limit == nil {
		return
	}
	p.paused = 0
	p.mu.Lock()
	p.sending = true
	if p.held {
		p.data = min(p.data, firstPayload) // others may have come since
	}
	p.mu.Unlock()
	p.crowd.sending.Add(1)
}

func (p *pace) end() {
	if p.limit == nil {
		return
	}
	p.interrupt()
	p.mu.Lock()
	p.sending = false
	p.setSlow(false)
	p.mu.Unlock()
	p.crowd.sending.Add(-1)
}

// setSlow says whether this session gets less than it should. p.mu is held.
func (p *pace) setSlow(slow bool) {
	if slow != p.slow {
		p.slow = slow
		if slow {
			p.crowd.slow.Add(1)
		} else {
			p.crowd.slow.Add(-1)
		}
	}
}

// waiting returns the context for a wait, which interrupt ends.
func (p *pace) waiting(ctx context.Context) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake == nil {
		p.ctx, p.wake = context.WithCancel(ctx)
	}
	return p.ctx
}

// allowed waits for the upload limit to let n bytes go, which are of list. It is
// false if something else is to be done first: small frames wait, or one of list
// was cancelled. Then nothing was counted. waited is how long it took in any case.
func (x *session) allowed(ctx context.Context, n int, list []answer) (waited time.Duration, ok bool, err error) {
	p := &x.pace
	if p.limit == nil {
		return 0, true, nil
	}
	wait := p.waiting(ctx) // before looking, or what comes then would not end it
	if x.pending() || slices.ContainsFunc(list, func(a answer) bool { return a.job.cancelled.Load() }) {
		return 0, false, nil
	}
	begun := time.Now()
	err = p.limit.Wait(wait, p.name, n)
	waited = time.Since(begun)
	if err == nil {
		p.waited(n, waited+p.paused)
		p.paused = 0
		return waited, true, nil
	}
	p.paused += waited
	if wait.Err() != nil {
		err = nil
	}
	return waited, false, err
}

// pending reports whether small frames wait to be sent.
func (x *session) pending() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.control) > 0
}

// waited takes note of how long n bytes had to wait.
func (p *pace) waited(n int, d time.Duration) {
	switch {
	case d > longWait:
		p.data = min(p.data, max(int(float64(n)*quickWait.Seconds()/d.Seconds()), leastPayload))
	case d < quickWait && p.data < sendPayload:
		if now := time.Now(); now.Sub(p.grown) >= growEvery {
			p.data, p.grown = min(p.data*2, sendPayload), now
		}
	}
	p.mu.Lock()
	now := time.Now()
	keep := math.Exp(-now.Sub(p.noted).Seconds() / memory.Seconds())
	p.bytes, p.waits = p.bytes*keep+float64(n), p.waits*keep+d.Seconds()
	p.noted = now
	p.held = p.perByte()*sendPayload > quickWait.Seconds()
	p.setSlow(p.perByte()*float64(p.fair) > 1)
	p.mu.Unlock()
}

// perByte is how many seconds a byte waits, of late. A blob's last frame may have
// few bytes and waits for as long as the one before it, so it is no mean of frames.
// p.mu is held.
func (p *pace) perByte() float64 {
	if p.bytes == 0 {
		return 0
	}
	return p.waits / p.bytes
}

// answered takes note of how large answers are.
func (p *pace) answered(size int) {
	if p.limit == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size == 0 {
		p.size = float64(size)
	}
	p.size += (float64(size) - p.size) / 4
}

// queueTime is how long it will take to send n answers under the upload limit,
// as far as that is known.
func (p *pace) queueTime(n int) time.Duration {
	if p.limit == nil || n == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	size := p.size
	if size == 0 {
		size = 1 << 20 // most blobs are a sealed chunk of 1 MiB
	}
	return time.Duration(min(float64(n)*size*p.perByte(), 3600) * float64(time.Second))
}

// held reports whether the upload limit makes this session wait with a batch.
func (x *session) held() bool {
	if x.pace.limit == nil {
		return false
	}
	x.pace.mu.Lock()
	defer x.pace.mu.Unlock()
	return x.pace.sending && x.pace.held
}
