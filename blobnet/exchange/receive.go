package exchange

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// read handles the peer's frames until the link ends; then every open call
// ends with the reason. It returns that reason, nil for an orderly end.
func (l *link) read() error {
	err := l.frames()
	l.mu.Lock()
	switch {
	case l.idle:
		err = nil
	case l.err != nil: // killed: that is why reading failed
		err = l.err
	case err == io.EOF:
		l.err, err = ErrLost, nil
	case errors.Is(err, ErrStalled), errors.Is(err, ErrLost), misbehaved(err):
		l.err = err
	default:
		l.err = fmt.Errorf("%w: %w", ErrLost, err)
		err = l.err
	}
	for _, c := range l.calls {
		l.finish(c, l.err)
	}
	l.hasRoom()
	l.mu.Unlock()
	close(l.done)
	l.s.interrupt() // the writer
	return err
}

func (l *link) frames() error {
	l.s.readWithin(l.cfg.StallTimeout)
	f, err := l.fr.next()
	if errors.Is(err, errQuiet) {
		return ErrStalled
	}
	if err != nil {
		return err
	}
	if f.typ != typeHandshakeAck {
		return fmt.Errorf("%w: %v before HANDSHAKE_ACK", ErrProtocol, f.typ)
	}
	if f.version != version || f.requests == 0 {
		return fmt.Errorf("%w: HANDSHAKE_ACK of version %d for %d requests", ErrProtocol, f.version, f.requests)
	}
	l.trip(l.opened)
	l.mu.Lock()
	l.limit = int(f.requests)
	l.plain = f.features&featureRanges == 0
	l.hasRoom()
	l.mu.Unlock()
	for {
		l.mu.Lock()
		patience := l.cfg.StallTimeout
		if len(l.calls) == 0 {
			patience = l.cfg.IdleTimeout
		}
		l.s.readWithin(patience)
		l.mu.Unlock()
		f, err := l.fr.next()
		if errors.Is(err, errQuiet) {
			if err := l.quiet(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := l.handle(f); err != nil {
			return err
		}
		if err := l.overdue(); err != nil {
			return err
		}
	}
}

// trip tells of an answer to what was asked then, if that is not zero.
func (l *link) trip(asked time.Time) {
	if !asked.IsZero() && l.answered != nil {
		l.answered(time.Since(asked))
	}
}

// quiet says what it means that no frame came before the deadline. It is nil
// for a call that began as the deadline of an idle link passed.
func (l *link) quiet() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if front := l.order.Front(); front == nil {
		l.idle, l.err = true, ErrLost
		return ErrLost
	} else if time.Since(front.Value.(*call).touched) < l.cfg.StallTimeout {
		return nil
	}
	return ErrStalled
}

// overdue gives up the oldest call if the peer has sent nothing for it in the
// stall timeout, though it sends other things, and the link if the peer does
// not even end the cancelled call.
func (l *link) overdue() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	front := l.order.Front()
	if front == nil {
		return nil
	}
	c := front.Value.(*call)
	if time.Since(c.touched) <= l.cfg.StallTimeout {
		return nil
	}
	if c.over {
		return ErrStalled
	}
	c.touched = time.Now()
	l.giveUp(c, ErrStalled)
	return nil
}

// handle acts on one frame.
func (l *link) handle(f frame) error {
	switch f.typ {
	case typeResponse:
		return l.response(f)
	case typeHave:
		if !l.flood.Allow() {
			return fmt.Errorf("%w: flood of %v frames", ErrProtocol, f.typ)
		}
		l.have(f.ids)
		return nil
	case typeHas:
	case typeNotFound, typeError, typeBusy:
		if f.req == 0 {
			return fmt.Errorf("%w: %s", ErrRefused, describe(f))
		}
	default:
		return fmt.Errorf("%w: %v from the serving side", ErrProtocol, f.typ)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls[f.req]
	if c == nil {
		return fmt.Errorf("%w: %v for no request", ErrProtocol, f.typ)
	}
	var err error
	switch f.typ {
	case typeHas:
		if c.want == nil || !fits(f.has, len(c.want)) {
			return fmt.Errorf("%w: HAS that answers no WANT", ErrProtocol)
		}
		c.has = f.has
		l.trip(c.asked)
	case typeNotFound:
		err = blobnet.ErrNotFound
	case typeBusy:
		err = &BusyError{After: min(time.Duration(f.retry)*time.Millisecond, time.Minute)}
	case typeError:
		err = refusedFor(c, f)
	}
	l.finish(c, err)
	return nil
}

// refusedFor is what an ERROR that ends c means.
func refusedFor(c *call, f frame) error {
	switch {
	case c.proof > 0 && f.code == codeRange:
		return fmt.Errorf("%w: %s", ErrProof, describe(f))
	case f.code == codeUnsupported:
		return fmt.Errorf("%w: %s: %w", ErrRefused, describe(f), errors.ErrUnsupported)
	}
	return fmt.Errorf("%w: %s", ErrRefused, describe(f))
}

func describe(f frame) string { return fmt.Sprintf("code %d %q", f.code, f.text) }

// fits reports whether bits are an answer about n ids: those beyond are 0.
func fits(bits []byte, n int) bool {
	return len(bits) == (n+7)/8 && (n%8 == 0 || bits[len(bits)-1]<<(n%8) == 0)
}

// response takes one RESPONSE and its data. A call whose blob comes slower than
// a 32nd of the least rate is given up; if it goes on all the same, its frames count for
// nothing, and overdue ends the link.
func (l *link) response(f frame) error {
	l.mu.Lock()
	c := l.calls[f.req]
	if err := checkResponse(c, f); err != nil {
		l.mu.Unlock()
		return err
	}
	if c.total < 0 {
		c.begun = time.Now()
		l.trip(c.asked)
	}
	slow := l.cfg.slow(c.begun, c.got+f.size, l.cfg.leastSent())
	if slow && !c.over {
		l.giveUp(c, fmt.Errorf("%w: %d of %d bytes in %v", ErrStalled, c.got, f.length, time.Since(c.begun).Round(time.Second)))
		slow = false // it has the stall timeout to hear of it
	}
	if !slow {
		c.touched = time.Now()
	}
	if c.proof > 0 && int(f.length) != c.proof {
		l.giveUp(c, fmt.Errorf("%w: it has %d bytes, want %d", ErrProof, f.length, c.proof))
	}
	c.total = int(f.length)
	keep := !c.over
	c.reading = keep
	l.mu.Unlock()

	var err error
	if keep {
		if f.offset == 0 {
			if c.proof > 0 {
				c.dst = *l.proofs.Get().(*[]byte)
			}
			c.dst = slices.Grow(c.dst, c.total)
		}
		at := len(c.dst)
		c.dst = c.dst[:at+f.size]
		err = l.fr.data(c.dst[at:])
	} else {
		err = l.fr.discard()
	}
	if err == nil {
		l.came.Add(int64(f.size))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	c.reading = false
	if c.waiter != nil {
		close(c.waiter)
		c.waiter = nil
	}
	if err != nil {
		return err
	}
	if c.came != nil {
		c.came.Add(int64(f.size))
	}
	if c.got += f.size; c.got == c.total {
		l.finish(c, nil)
	}
	return nil
}

// flags is what REQUEST and RESPONSE of c have.
func (c *call) flags() uint8 {
	if c.proof > 0 {
		return flagProof
	}
	return 0
}

// checkResponse says whether f is the next part of what c wants.
func checkResponse(c *call, f frame) error {
	switch {
	case c == nil || c.want != nil:
		return fmt.Errorf("%w: RESPONSE for no request", ErrProtocol)
	case f.flags != c.flags():
		return fmt.Errorf("%w: RESPONSE with flags %#x, want %#x", ErrProtocol, f.flags, c.flags())
	case f.length > blobnet.MaxBlobSize && (c.proof == 0 || f.length > maxProof):
		return fmt.Errorf("%w: RESPONSE announces %d bytes", ErrProtocol, f.length)
	case c.total >= 0 && int(f.length) != c.total:
		return fmt.Errorf("%w: RESPONSE changes the blob's size", ErrProtocol)
	case int64(f.offset) != int64(c.got):
		return fmt.Errorf("%w: RESPONSE at %d, want %d", ErrProtocol, f.offset, c.got)
	case int64(f.offset)+int64(f.size) > int64(f.length):
		return fmt.Errorf("%w: RESPONSE beyond the blob's end", ErrProtocol)
	case f.size == 0 && f.length > 0:
		return fmt.Errorf("%w: RESPONSE without data", ErrProtocol)
	}
	return nil
}
