package wsbridge

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// piece is how many bytes are written before the deadline is set anew, and the
// most that a Limiter is asked for at once.
const piece = 16 << 10

// paced is a connection whose writes are slowed by a Limiter and given up when
// the peer does not take them. WebSocket frames cannot be interrupted, and a
// blob is one frame, as the document wants it: so a frame is paced from below.
type paced struct {
	net.Conn
	lim    *Limits
	upload Limiter
	peer   string      // for the Limiter
	hurry  func() bool // whether others wait for the memory; may be nil
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex // guards what follows; never held across I/O
	begun time.Time  // of the message that is being written
	sent  int        // bytes of it
	read  time.Time  // when the peer was last heard of
}

func newPaced(ctx context.Context, c net.Conn, lim *Limits, upload Limiter, peer string, hurry func() bool) *paced {
	p := &paced{Conn: c, lim: lim, upload: upload, peer: peer, hurry: hurry, read: time.Now()}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// start says that a message begins.
func (p *paced) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun, p.sent = time.Now(), 0
}

// end says that it has been written, or will not be, and returns how many bytes
// were.
func (p *paced) end() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = time.Time{}
	return p.sent
}

// heard is when bytes last came.
func (p *paced) heard() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 {
		now := time.Now()
		p.mu.Lock()
		p.read = now
		p.mu.Unlock()
	}
	return n, err
}

func (p *paced) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:min(n+piece, len(b))]
		if p.upload != nil {
			from := time.Now()
			if err := p.upload.Wait(p.ctx, p.peer, len(part)); err != nil {
				return n, err
			}
			p.mu.Lock()
			if !p.begun.IsZero() {
				p.begun = p.begun.Add(time.Since(from))
			}
			p.mu.Unlock()
		}
		p.mu.Lock()
		begun, sent := p.begun, p.sent
		p.mu.Unlock()
		rate := p.lim.LeastRate
		if p.hurry != nil && p.hurry() {
			rate *= 8
		}
		if !begun.IsZero() && p.lim.slow(begun, sent, rate) {
			return n, ErrStalled
		}
		p.Conn.SetWriteDeadline(time.Now().Add(p.lim.StallTimeout))
		m, err := p.Conn.Write(part)
		n += m
		p.mu.Lock()
		p.sent += m
		p.mu.Unlock()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrStalled
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close ends the connection, and what waits for the Limiter. It does not wait.
func (p *paced) Close() error {
	p.cancel()
	return p.Conn.Close()
}
