package exchange

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// job is one request.
type job struct {
	req       uint32
	flags     uint8
	id        blobnet.ID
	offset    int // of the range, of which a proof is wanted
	length    int // 0: the whole blob is wanted
	cancelled atomic.Bool
	gone      chan struct{} // closed when it is cancelled; nil without an upload limit
}

// cancelJob makes the session stop working for j. For the reader alone.
func (x *session) cancelJob(j *job) {
	if !j.cancelled.Swap(true) && j.gone != nil {
		close(j.gone)
		x.pace.interrupt()
	}
}

// request queues a REQUEST, or answers it at once.
func (x *session) request(ctx context.Context, f frame) error {
	j := &job{req: f.req, id: f.id, flags: f.flags, offset: int(f.offset), length: int(f.length)}
	switch {
	case f.flags == flagProof:
		if end := uint64(f.offset) + uint64(f.length); f.length == 0 || end > blobnet.MaxBlobSize {
			return x.refuse(ctx, f, frame{typ: typeError, code: codeRange, text: errRange.Error()})
		}
	case f.flags != 0 || f.offset != 0 || f.length != 0:
		return x.refuse(ctx, f, frame{typ: typeError, code: codeUnsupported, text: "these flags, or a range without proof, are not supported"})
	}
	if x.pace.limit != nil {
		j.gone = make(chan struct{})
	}
	x.mu.Lock()
	if x.leaving {
		x.mu.Unlock()
		return errCrowded
	}
	if x.jobs[f.req] != nil {
		x.mu.Unlock()
		return fmt.Errorf("%w: REQUEST with an id in use", ErrProtocol)
	}
	if len(x.jobs) >= x.e.cfg.MaxRequests {
		x.mu.Unlock()
		return x.refuse(ctx, f, frame{typ: typeBusy, retry: 200})
	}
	if wait := x.pace.queueTime(len(x.jobs)); wait > maxQueueTime {
		x.mu.Unlock()
		return x.refuse(ctx, f, frame{typ: typeBusy, retry: uint32(min(wait/2, maxQueueTime/2) / time.Millisecond)})
	}
	x.jobs[f.req] = j
	x.since = time.Now()
	x.queue = append(x.queue, j)
	x.mu.Unlock()
	notify(x.queued)
	return nil
}

// refuse answers a REQUEST at once by the frame with. It is no work to ask for
// such answers, so that there may not be many.
func (x *session) refuse(ctx context.Context, f, with frame) error {
	if err := x.useless(f.typ); err != nil {
		return err
	}
	with.req = f.req
	return x.reply(ctx, with)
}

// want answers a WANT with a bit for each of its ids: whether the store has it.
func (x *session) want(ctx context.Context, f frame) error {
	x.mu.Lock()
	open, leaving := x.jobs[f.req] != nil, x.leaving
	x.asking = !leaving
	x.mu.Unlock()
	if leaving {
		return errCrowded
	}
	defer x.asked()
	if open {
		return fmt.Errorf("%w: WANT with an id in use", ErrProtocol)
	}
	if err := x.load.wants.WaitN(ctx, len(f.ids)); err != nil {
		return err // the stream ends
	}
	answer := frame{typ: typeHas, req: f.req, has: make([]byte, (len(f.ids)+7)/8)}
	if x.e.cfg.Store != nil {
		has, err := x.e.cfg.Store.Has(ctx, f.ids...)
		if err != nil {
			return x.reply(ctx, frame{typ: typeError, req: f.req, code: codeInternal, text: "store failed"})
		}
		for i, ok := range has {
			if ok {
				answer.has[i/8] |= 0x80 >> (i % 8)
			}
		}
	}
	return x.reply(ctx, answer)
}
