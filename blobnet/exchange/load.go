package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
)

const (
	// shortRange is how long a range may be that goes ahead of blobs, in bytes.
	shortRange = 256 << 10
	// crowdRetry is when to ask again where too many share the upload limit.
	crowdRetry = 20 * time.Second
	// maxPassed is how many go ahead of one blob.
	maxPassed = 16
)

// gatherSize is when a batch of small responses is large enough, in bytes.
const gatherSize = 32 << 10

// batch is answers that lie one behind the other in one buffer, each behind
// room for the head of its first frame: small ones, or one that is not.
type batch struct {
	buf     *[]byte
	answers []answer
}

// answer is a job with its bytes, a blob or a proof: buf[at:at+size].
type answer struct {
	job      *job
	at, size int
}

// loadAll reads what queued jobs want from the store, one batch ahead of the
// one that is being sent, until ctx ends. While the upload limit holds this
// session back it does not read ahead, for others may need the memory.
func (x *session) loadAll(ctx context.Context, ready chan<- batch) {
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
		for x.held() && ctx.Err() == nil && !j.cancelled.Load() {
			select {
			case <-x.sent:
			case <-j.gone:
			case <-ctx.Done():
			}
		}
		if j.cancelled.Load() {
			x.last(ctx, j, frame{typ: typeError, code: codeCancelled})
			continue
		}
		if x.e.crowd.full() {
			x.last(ctx, j, frame{typ: typeBusy, retry: uint32(crowdRetry / time.Millisecond)})
			continue
		}
		if !x.borrow(ctx) {
			x.last(ctx, j, frame{typ: typeBusy, retry: 1000})
			continue
		}
		b := x.gather(ctx, j)
		if len(b.answers) == 0 {
			x.giveBack(b.buf)
			continue
		}
		x.pace.handed()
		select {
		case ready <- b:
		case <-ctx.Done():
			x.giveBack(b.buf)
			return
		}
	}
}

// take removes the next job from the queue: the oldest short range, for which
// somebody waits, or else the oldest.
func (x *session) take() *job {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return nil
	}
	at := slices.IndexFunc(x.queue, func(j *job) bool { return j.length > 0 && j.length <= shortRange })
	if x.passed++; at <= 0 || x.passed > maxPassed {
		at, x.passed = 0, 0
	}
	j := x.queue[at]
	copy(x.queue[1:], x.queue[:at]) // few are passed over
	x.queue[0] = nil
	if x.queue = x.queue[1:]; len(x.queue) == 0 {
		x.queue = nil // let the array go
	}
	return j
}

// gather reads what j wants, and what those behind it want as long as that is
// little, so that small answers share a write, a TLS record and the way from
// one goroutine to the next. Jobs without an answer get their last frame.
func (x *session) gather(ctx context.Context, j *job) batch {
	b := batch{buf: x.e.buffers.get(), answers: x.answers()}
	for ; j != nil; j = x.take() {
		if j.cancelled.Load() {
			x.last(ctx, j, frame{typ: typeError, code: codeCancelled})
			continue
		}
		at := len(*b.buf) + responseHead
		err := x.read1(ctx, j, b.buf)
		if err != nil {
			*b.buf = (*b.buf)[:at-responseHead]
			x.last(ctx, j, refusal(err))
			continue
		}
		b.answers = append(b.answers, answer{j, at, len(*b.buf) - at})
		if len(*b.buf) >= gatherSize {
			break
		}
	}
	return b
}

// answers returns memory for the answers of a batch: each batch that the writer
// has sent leaves it for the next but one.
func (x *session) answers() []answer {
	select {
	case a := <-x.spare:
		return a[:0]
	default:
		return nil
	}
}

// errRange: the request is for what the blob does not have.
var errRange = errors.New("range is not within the blob")

// refusal is the last frame for a job that has no answer.
func refusal(err error) frame {
	switch {
	case errors.Is(err, blobnet.ErrNotFound), errors.Is(err, blobnet.ErrCorrupt):
		return frame{typ: typeNotFound}
	case errors.Is(err, errRange):
		return frame{typ: typeError, code: codeRange, text: errRange.Error()}
	}
	return frame{typ: typeError, code: codeInternal, text: "store failed"}
}

// read1 appends room for a frame's head and then what j wants to *buf.
func (x *session) read1(ctx context.Context, j *job, buf *[]byte) error {
	var head [responseHead]byte
	*buf = append(*buf, head[:]...)
	if j.length > 0 {
		return x.prove(ctx, j, buf)
	}
	got, err := x.get(ctx, j.id, *buf)
	if err == nil {
		*buf = got
	}
	return err
}

// prove appends the proof of a range to *buf. The blob itself is in memory only
// meanwhile; the tokens bound how many are, those of the peer first, so that its
// other streams do not stand in the way of other peers.
func (x *session) prove(ctx context.Context, j *job, buf *[]byte) error {
	for _, tokens := range []chan struct{}{x.load.proving, x.e.proving} {
		select {
		case tokens <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-tokens }()
	}
	whole := x.e.buffers.get()
	defer x.e.buffers.put(whole)
	blob, err := x.get(ctx, j.id, (*whole)[:0])
	if err != nil {
		return err
	}
	*whole = blob
	if j.offset+j.length > len(blob) {
		return errRange
	}
	proof, err := bao.Proof(*buf, blob, j.offset, j.length)
	if err != nil {
		return fmt.Errorf("%w: %w", errRange, err)
	}
	*buf = proof
	return nil
}

// sender is a store with a Get for those whose bytes are checked against the id
// by whoever gets them, as every peer does: it need not hash them. That is most
// of what serving costs (docs/store.md).
type sender interface {
	GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)
}

// get appends a blob from the store to dst.
func (x *session) get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if x.e.cfg.Store == nil {
		return nil, blobnet.ErrNotFound
	}
	read := x.e.cfg.Store.Get
	if s, ok := x.e.cfg.Store.(sender); ok {
		read = s.GetToSend
	}
	got, err := read(ctx, id, dst)
	if err == nil && len(got)-len(dst) > blobnet.MaxBlobSize {
		err = blobnet.ErrTooLarge
	}
	return got, err
}

// last ends j by the frame f. Not for the writer, which reply may wait for.
func (x *session) last(ctx context.Context, j *job, f frame) {
	x.done(j)
	f.req = j.req
	x.reply(ctx, f) // fails only when the stream ends
}

// borrow takes memory for one batch, and reports whether it got it in time.
func (x *session) borrow(ctx context.Context) bool {
	if x.e.buffers.try(&x.load.memory) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	return x.e.buffers.borrow(ctx, &x.load.memory)
}

// giveBack returns what borrow took, and buf.
func (x *session) giveBack(buf *[]byte) {
	x.e.buffers.put(buf)
	x.e.buffers.giveBack(&x.load.memory)
}
