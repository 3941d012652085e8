package exchange

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// leastPayload is the least data that a frame has under an upload limit,
	// if there is as much, and firstPayload what a stream's first has.
	leastPayload = 1 << 10
	firstPayload = 4 << 10
	// quickWait and longWait are how long the limit may keep a frame before
	// frames become larger, or smaller.
	quickWait = 200 * time.Millisecond
	longWait  = 500 * time.Millisecond
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

	// For the writer alone.
	data   int           // how much of it a frame has
	paused time.Duration // how long a frame has waited that was put off

	mu      sync.Mutex // guards what follows; never held across I/O
	ctx     context.Context
	wake    context.CancelFunc // if not nil, ends ctx and so the writer's waiting
	held    bool               // the limit makes this session wait
	perByte float64            // seconds that a byte waits, of late
	size    float64            // bytes of an answer, of late; 0: unknown
}

// payload is how much data the next frame may have.
func (p *pace) payload() int {
	if p.limit == nil {
		return sendPayload
	}
	if p.data == 0 {
		p.data = firstPayload
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

// end is called at the end of every batch.
func (p *pace) end() { p.interrupt() }

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
		p.data = max(p.data/2, leastPayload)
	case d < quickWait:
		p.data = min(p.data*2, sendPayload)
	}
	p.mu.Lock()
	p.held = d > quickWait
	p.perByte += (d.Seconds()/float64(n) - p.perByte) / 4
	p.mu.Unlock()
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
	return time.Duration(min(float64(n)*size*p.perByte, 3600) * float64(time.Second))
}

// held reports whether the upload limit makes this session wait with a batch.
func (x *session) held() bool {
	if x.pace.limit == nil {
		return false
	}
	x.mu.Lock()
	writing := x.writing
	x.mu.Unlock()
	x.pace.mu.Lock()
	defer x.pace.mu.Unlock()
	return writing && x.pace.held
}
