package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errCancelled ends an upload that the peer cancelled.
var errCancelled = errors.New("cancelled by the peer")

// write sends small frames and batches until ctx ends or the peer does not take
// what it asked for.
func (x *session) write(ctx context.Context, ready <-chan batch) error {
	for {
		if err := x.flush(); err != nil {
			return err
		}
		select {
		case <-x.replied:
		case b := <-ready:
			x.busy(true)
			err := x.batch(ctx, b)
			x.busy(false)
			x.giveBack(b.buf)
			clear(b.answers) // the jobs
			select {
			case x.spare <- b.answers:
			default:
			}
			notify(x.sent)
			x.report()
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// batch sends a batch: whole answers that fit into one write together, larger
// ones by themselves.
func (x *session) batch(ctx context.Context, b batch) error {
	x.pace.begin()
	defer x.pace.end()
	for rest := b.answers; len(rest) > 0 && ctx.Err() == nil; {
		n, err := x.together(ctx, *b.buf, rest)
		if err == nil && n == 0 {
			n, err = 1, x.answer(ctx, *b.buf, rest[0])
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// together sends as many of list as go into one write, a frame each, and returns
// how many that are: none if the first is too large or cancelled.
func (x *session) together(ctx context.Context, buf []byte, list []answer) (n int, err error) {
	limit := x.pace.payload() + responseHead
	start := list[0].at - responseHead
	end := start
	for _, a := range list {
		if a.at+a.size-start > limit || a.job.cancelled.Load() {
			break
		}
		end = a.at + a.size
		n++
	}
	if n == 0 {
		return 0, nil
	}
	if _, ok, err := x.allowed(ctx, end-start, list[:n]); !ok || err != nil {
		return 0, err // look again
	}
	for _, a := range list[:n] {
		x.done(a.job)
		putResponseHead(buf[a.at-responseHead:a.at], a.job.req, a.job.flags, 0, uint32(a.size), a.size)
	}
	err = x.send(buf[start:end])
	for _, a := range list[:n] {
		if err != nil {
			x.uploaded(a, 0, err)
		} else {
			x.uploaded(a, a.size, nil)
		}
	}
	return n, err
}

// answer sends one blob or proof, a frame per write. Each frame's head is written
// over the end of the frame before, which has been sent by then, so that no byte
// of it is copied. A peer that takes it too slowly loses the stream, and sooner
// where others wait for the memory; what the upload limit takes is not its fault.
func (x *session) answer(ctx context.Context, buf []byte, a answer) error {
	begun := time.Now()
	for sent := 0; ; {
		if ctx.Err() != nil {
			x.traffic.Wasted += int64(sent)
			return nil
		}
		rate := x.e.cfg.LeastRate
		if x.e.buffers.scarce() {
			rate *= 2
		}
		if x.e.cfg.slow(begun, sent, rate) {
			err := fmt.Errorf("sending: %w: %d bytes in %v", ErrStalled, sent, time.Since(begun).Round(time.Second))
			x.uploaded(a, sent, err)
			return err
		}
		if err := x.flush(); err != nil {
			x.uploaded(a, sent, err)
			return err
		}
		if a.job.cancelled.Load() {
			x.uploaded(a, sent, errCancelled)
			// Not through reply, which could wait for this goroutine.
			x.done(a.job)
			return x.send(appendFrame(nil, frame{typ: typeError, req: a.job.req, code: codeCancelled}))
		}
		size := min(a.size-sent, x.pace.payload())
		waited, ok, err := x.allowed(ctx, responseHead+size, []answer{a})
		begun = begun.Add(waited)
		if err == nil && !ok {
			continue // something else is to be sent, or this no more
		}
		if err == nil {
			if sent+size == a.size {
				x.done(a.job)
			}
			frame := buf[a.at+sent-responseHead : a.at+sent+size]
			putResponseHead(frame, a.job.req, a.job.flags, uint32(sent), uint32(a.size), size)
			err = x.send(frame)
		}
		if err != nil {
			x.uploaded(a, sent, err)
			return err
		}
		if sent += size; sent == a.size {
			x.uploaded(a, sent, nil)
			return nil
		}
	}
}

// uploaded tells what became of an answer of which sent bytes were sent.
func (x *session) uploaded(a answer, sent int, err error) {
	switch {
	case err != nil:
		x.traffic.Wasted += int64(sent)
	case a.job.length > 0:
		x.traffic.Useful += int64(a.job.length) // the rest is proof
	default:
		x.traffic.Useful += int64(sent)
	}
	if err == nil {
		x.pace.answered(sent)
	}
	x.e.event(Event{Kind: KindUpload, Peer: x.peer, ID: a.job.id, Bytes: int64(sent), Err: err})
}

// flush sends the small frames that wait.
func (x *session) flush() error {
	x.mu.Lock()
	out := x.control
	if len(out) == 0 {
		x.mu.Unlock()
		return nil
	}
	x.control = x.free[:0]
	was := x.writing // of a batch
	x.writing = true
	x.mu.Unlock()
	notify(x.drained)
	err := x.send(out)
	x.busy(was)
	x.free = out[:0]
	return err
}

// report tells what was moved since the last report. It is called by the writer,
// and after it has ended.
func (x *session) report() {
	if x.e.cfg.OnTraffic == nil {
		return
	}
	received := Counts{Overhead: x.fr.heads.Swap(0)}
	sent := x.traffic
	sent.Overhead = x.written - sent.Useful - sent.Wasted
	x.traffic, x.written = Counts{}, 0
	if received != (Counts{}) || sent != (Counts{}) {
		x.e.cfg.OnTraffic(x.pace.name, received, sent)
	}
}

// send writes p, which the peer has to take within the stall timeout.
func (x *session) send(p []byte) error {
	x.s.writeWithin(x.e.cfg.StallTimeout)
	n, err := x.s.Write(p)
	x.written += int64(n)
	if err != nil {
		if isTimeout(err) {
			return fmt.Errorf("sending: %w", ErrStalled)
		}
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}
