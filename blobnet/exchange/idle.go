package exchange

import "time"

// patience is how long the stream may go without a request from now on. Frames
// that ask for nothing do not prolong it.
func (x *session) patience() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.jobs) > 0 {
		return 2 * x.e.cfg.IdleTimeout
	}
	return time.Until(x.since.Add(2 * x.e.cfg.IdleTimeout))
}

// idle reports whether nothing was asked that has not been answered, and since
// when that is so.
func (x *session) idle() (since time.Time, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.since, x.unused()
}

// unused is what idle reports. x.mu is held.
func (x *session) unused() bool {
	return len(x.jobs) == 0 && len(x.control) == 0 && !x.asking && !x.writing && !x.leaving
}

// leave makes the session refuse requests from now on, if it is idle still.
func (x *session) leave() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	ok := x.unused()
	x.leaving = x.leaving || ok
	return ok
}

// asked ends the answering of a WANT.
func (x *session) asked() {
	x.mu.Lock()
	x.asking, x.since = false, time.Now()
	x.mu.Unlock()
}

// busy notes whether the writer is at work: between a blob's last frame being
// built and its being sent, no request is open and yet the stream not idle.
func (x *session) busy(writing bool) {
	x.mu.Lock()
	x.writing = writing
	x.mu.Unlock()
}
