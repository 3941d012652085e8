package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// loadAll reads the blobs of queued jobs from the store, one ahead of the one
// that is being sent, until ctx ends.
func (x *session) loadAll(ctx context.Context, ready chan<- loaded) {
	for {
		j := x.take()
		if j == nil {
			select {
			case <-x.queued:
				continue
			case <-ctx.Done():
				return
			}
		}
		if j.cancelled.Load() {
			x.last(ctx, j, frame{typ: typeError, code: codeCancelled})
			continue
		}
		if !x.borrow(ctx) {
			x.last(ctx, j, frame{typ: typeBusy, retry: 1000})
			continue
		}
		buf, err := x.get(ctx, j.id)
		if err != nil {
			x.giveBack(nil)
			switch {
			case errors.Is(err, blobnet.ErrNotFound), errors.Is(err, blobnet.ErrCorrupt):
				x.last(ctx, j, frame{typ: typeNotFound})
			default:
				x.last(ctx, j, frame{typ: typeError, code: codeInternal, text: "store failed"})
			}
			continue
		}
		select {
		case ready <- loaded{j, buf}:
		case <-ctx.Done():
			x.giveBack(buf)
			return
		}
	}
}

// take removes the oldest job from the queue.
func (x *session) take() *job {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return nil
	}
	j := x.queue[0]
	x.queue[0] = nil
	if x.queue = x.queue[1:]; len(x.queue) == 0 {
		x.queue = nil // let the array go
	}
	return j
}

// last ends j by the frame f. Not for the writer, which reply may wait for.
func (x *session) last(ctx context.Context, j *job, f frame) {
	x.done(j)
	f.req = j.req
	x.reply(ctx, f) // fails only when the stream ends
}

// borrow takes memory for one blob, and reports whether it got it in time.
func (x *session) borrow(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	return x.e.buffers.borrow(ctx, &x.load.memory)
}

// giveBack returns what borrow took, and buf unless it is nil.
func (x *session) giveBack(buf *[]byte) {
	if buf != nil {
		x.e.buffers.put(buf)
	}
	x.e.buffers.giveBack(&x.load.memory)
}

// get reads a blob from the store into a buffer with room for a frame's head
// before it.
func (x *session) get(ctx context.Context, id blobnet.ID) (*[]byte, error) {
	if x.e.cfg.Store == nil {
		return nil, blobnet.ErrNotFound
	}
	buf := x.e.buffers.get()
	got, err := x.e.cfg.Store.Get(ctx, id, *buf)
	if err == nil && len(got)-responseHead > blobnet.MaxBlobSize {
		err = blobnet.ErrTooLarge
	}
	if err != nil {
		x.e.buffers.put(buf)
		return nil, err
	}
	*buf = got
	return buf, nil
}

// write sends small frames and blobs until ctx ends or the peer does not take
// what it asked for.
func (x *session) write(ctx context.Context, ready <-chan loaded) error {
	var spare []byte
	for {
		var err error
		if spare, err = x.flush(spare); err != nil {
			return err
		}
		select {
		case <-x.written:
		case l := <-ready:
			x.busy(true)
			spare, err = x.blob(ctx, l, spare)
			x.busy(false)
			x.giveBack(l.buf)
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// blob sends one blob, a frame per write. Each frame's head is written over
// the end of the frame before, which has been sent by then, so that no byte of
// the blob is copied. A peer that takes it too slowly loses the stream, and
// sooner where others wait for the memory.
func (x *session) blob(ctx context.Context, l loaded, spare []byte) ([]byte, error) {
	buf := *l.buf
	total := len(buf) - responseHead
	begun := time.Now()
	for sent := 0; ; {
		if ctx.Err() != nil {
			return spare, nil
		}
		rate := x.e.cfg.LeastRate
		if x.e.buffers.scarce() {
			rate *= 2
		}
		if x.e.cfg.slow(begun, sent, rate) {
			err := fmt.Errorf("sending: %w: %d bytes in %v", ErrStalled, sent, time.Since(begun).Round(time.Second))
			x.e.event(Event{Kind: KindUpload, Peer: x.peer, ID: l.job.id, Bytes: int64(sent), Err: err})
			return spare, err
		}
		var err error
		if spare, err = x.flush(spare); err != nil {
			return spare, err
		}
		if l.job.cancelled.Load() {
			x.e.event(Event{Kind: KindUpload, Peer: x.peer, ID: l.job.id, Bytes: int64(sent), Err: errCancelled})
			// Not through reply, which could wait for this goroutine.
			x.done(l.job)
			return spare, x.send(appendFrame(nil, frame{typ: typeError, req: l.job.req, code: codeCancelled}))
		}
		size := min(total-sent, sendPayload)
		if sent+size == total {
			x.done(l.job)
		}
		putResponseHead(buf[sent:sent+responseHead], l.job.req, uint32(sent), uint32(total), size)
		if err := x.send(buf[sent : sent+responseHead+size]); err != nil {
			x.e.event(Event{Kind: KindUpload, Peer: x.peer, ID: l.job.id, Bytes: int64(sent), Err: err})
			return spare, err
		}
		if sent += size; sent == total {
			x.e.event(Event{Kind: KindUpload, Peer: x.peer, ID: l.job.id, Bytes: int64(total)})
			return spare, nil
		}
	}
}

// errCancelled ends an upload that the peer cancelled.
var errCancelled = errors.New("cancelled by the peer")

// flush sends the small frames that wait. It keeps spare as the memory for the
// next ones and returns the memory it sent from.
func (x *session) flush(spare []byte) ([]byte, error) {
	x.mu.Lock()
	out := x.control
	if len(out) == 0 {
		x.mu.Unlock()
		return spare, nil
	}
	x.control = spare[:0]
	was := x.writing // of a blob
	x.writing = true
	x.mu.Unlock()
	notify(x.drained)
	err := x.send(out)
	x.busy(was)
	if err != nil {
		return nil, err
	}
	return out[:0], nil
}

// send writes p, which the peer has to take within the stall timeout.
func (x *session) send(p []byte) error {
	x.s.writeWithin(x.e.cfg.StallTimeout)
	if _, err := x.s.Write(p); err != nil {
		if isTimeout(err) {
			return fmt.Errorf("sending: %w", ErrStalled)
		}
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}
