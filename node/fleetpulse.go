package node

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/natsbridge"
)

const (
	// maxPulse is how often at least the queue is asked whether it is there.
	maxPulse = 10 * time.Second
	// redialAfter is how long a connection is left to mend itself. A new one reads
	// credentials anew.
	redialAfter = 2 * time.Minute
)

func pulseOf(ttl time.Duration) time.Duration { return min(ttl/beatsPerTTL, maxPulse) }

// pulse moves the clock by which others are dead, as far as the queue of jobs answers,
// until ctx ends. Where it does not, this member is cut off, or its part of NATS is, and
// others are not to be heard, or nobody could be given what they leave.
func (f *fleet) pulse(ctx context.Context, conn *natsbridge.Conn) error {
	for connected := time.Now(); ; {
		asked := time.Now()
		jobs, err := conn.Jobs(ctx, f.req.Replicas) // it is made anew if it is lost
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.answers(jobs)
		if f.tick(asked, err == nil) {
			if err != nil {
				f.fail(fmt.Errorf("NATS does not answer: the work goes on among the members that are known: %w", err))
			} else {
				f.back()
			}
		}
		if conn.Connected() {
			connected = asked
		}
		if err != nil && asked.Sub(connected) > redialAfter {
			return err
		}
		if pause(ctx, pulseOf(f.ttl)) != nil {
			return ctx.Err()
		}
	}
}

// tick moves the clock, looks who has died, and reports whether a cut has begun or
// ended.
func (f *fleet) tick(at time.Time, answer bool) (cut bool) {
	f.mu.Lock()
	cut = f.clock.Tick(at, answer)
	settling := !f.settled
	if f.clock.Run() >= f.ttl/3 {
		f.settled = true
	}
	changed := f.relive() || settling && f.settled
	f.mu.Unlock()
	if changed {
		f.changed()
	}
	return cut
}

// back is called when a cut has ended. What was asked for may be lost with the streams.
func (f *fleet) back() {
	f.beatSoon()
	f.tellMembers()
	for _, m := range f.workers {
		m.askAgain()
	}
}
