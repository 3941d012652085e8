package wsbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// Messages that ask for nothing (HAVE, ERROR, a second greeting, unknown
	// types): this many at once and per second.
	uselessBurst = 256
	uselessRate  = 64
	// How many ids one peer may ask of at once and per second: each is a look
	// into the store.
	wantBurst = 16 * maxIDs
	wantRate  = 8 * maxIDs
	// closeTimeout bounds an orderly end.
	closeTimeout = 5 * time.Second
	// pingPatience is how long a PING waits for the blob that is being sent. What
	// answers it gives up 5 s after it came, and the connection with it.
	pingPatience = time.Second
)

// session is one connection, which both sides use alike. Three goroutines work
// for it: one reads messages, one reads blobs from the store, one writes
// messages; a fourth watches the clock.
type session struct {
	lim     *Limits
	ws      *websocket.Conn
	raw     *paced
	peer    string        // as events name it
	self    string        // our peer id
	dialled bool          // by this side
	store   blobnet.Store // may be nil
	memory  *memory
	wants   *rate.Limiter
	useless *rate.Limiter
	tell    func(Event)
	in      *incoming
	gone    func() // called before calls end; may be nil

	control  chan []byte // text to be sent
	jobs     chan job
	greeted  chan struct{} // closed when the peer has spoken
	slots    chan struct{} // has a token for each of calls
	over     chan struct{} // closed when no more calls are taken, after ended is set
	ended    error         // what later calls get
	sending  chan struct{} // holds a token while a blob is sent
	pinging  atomic.Bool
	cancel   context.CancelCauseFunc
	announce bool // the handshake has come; the reader's own

	mu      sync.Mutex // guards what follows; never held across I/O
	peerID  string
	begun   time.Time        // of the session
	heardOf bool             // the first message has come
	open    map[uint32]bool  // requests of the peer that are not answered
	since   time.Time        // of the last request, either way, or its end
	inBegun time.Time        // of the message that is being read; zero if none is
	inBytes int              // of it, so far
	calls   map[uint32]*call // our requests; nil once the session is over
	next    uint32           // request id
	want    *wanted          // our WANT that is not answered
}

// job is a blob that the peer asked for.
type job struct {
	req uint32
	id  blobnet.ID
}

// loaded is a job with its message.
type loaded struct {
	job
	buf *[]byte
}

// setup fills in what both sides have alike. ws and raw are set after it, and
// before run.
func (s *session) setup() {
	s.useless = rate.NewLimiter(uselessRate, uselessBurst)
	s.control = make(chan []byte, 4)
	s.jobs = make(chan job, s.lim.MaxRequests)
	s.greeted = make(chan struct{})
	s.slots = make(chan struct{}, s.lim.MaxRequests)
	s.over = make(chan struct{})
	s.sending = make(chan struct{}, 1)
	s.open = make(map[uint32]bool)
	s.calls = make(map[uint32]*call)
	s.begun, s.since = time.Now(), time.Now()
}

// ping answers the peer's pings, but for those that come while a blob is sent:
// the answer would wait behind it, and the blob says as well that we live. The
// peer may have the last byte before this side knows that it is out, so the end
// is waited for a little.
func (s *session) ping(context.Context, []byte) bool {
	select {
	case s.sending <- struct{}{}:
		<-s.sending
		return true
	case <-time.After(pingPatience):
		return false
	}
}

// kill ends the connection now. Everything that waits for the peer returns.
func (s *session) kill() { s.raw.Close() }

// run serves until the connection or ctx is over, and returns why. The caller
// has set cancel, which ends ctx.
func (s *session) run(ctx context.Context) error {
	// The larger of the limits; what reads a message checks its own.
	limit := int64(maxBinary)
	if s.dialled {
		limit = maxSkipped
	}
	s.ws.SetReadLimit(limit)
	ready := make(chan loaded)
	var work, closing sync.WaitGroup
	// Who ends ctx may be in the middle of anything; this interrupts reading.
	closing.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer closing.Done()
		s.interrupt(context.Cause(ctx))
	})
	work.Go(func() { s.load(ctx, ready) })
	work.Go(func() {
		if err := s.write(ctx, ready); err != nil {
			s.cancel(err)
		}
	})
	work.Go(func() { s.watch(ctx, &work) })
	work.Go(func() { s.tellHave(ctx) })

	err := s.read(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what made reading fail
	}
	if stop() {
		closing.Done()
	}
	s.cancel(err)
	if s.gone != nil {
		s.gone()
	}
	s.endCalls(err)
	late := time.AfterFunc(closeTimeout, s.kill)
	closing.Wait()
	work.Wait() // the writer may be within a message
	s.finish(err)
	late.Stop()
	s.kill()
	s.ws.CloseNow()
	return err
}

// interrupt makes the reader return: by asking the peer to close, if it is for
// a reason that is no fault, and at once otherwise.
func (s *session) interrupt(cause error) {
	if ends(cause) {
		limit := time.AfterFunc(closeTimeout, s.kill)
		defer limit.Stop()
		s.ws.Close(websocket.StatusGoingAway, "")
	}
	s.kill()
}

// ends reports whether err is an orderly end.
func ends(err error) bool {
	return errors.Is(err, errIdle) || errors.Is(err, errCrowded) || errors.Is(err, blobnet.ErrClosed)
}

// finish tells a peer that is still there what it did wrong.
func (s *session) finish(err error) {
	if !misbehaved(err) {
		return
	}
	s.tell(Event{Kind: KindMisbehaviour, Peer: s.peer, PeerID: s.name(), Err: &MisbehaviourError{Peer: s.peer, Err: err}})
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if s.ws.Write(ctx, websocket.MessageText, appendText(nil, message{kind: kindError, text: err.Error()})) == nil {
		s.ws.Close(websocket.StatusPolicyViolation, "")
	}
}

func (s *session) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peerID
}

// read handles the peer's messages until one cannot be read or breaks a rule.
func (s *session) read(ctx context.Context) error {
	text := make([]byte, 0, 4<<10)
	for {
		typ, r, err := s.ws.Reader(context.Background()) // bounded by watch
		if err != nil {
			return s.lostBy(err)
		}
		s.begin()
		if typ == websocket.MessageBinary {
			err = s.response(r)
			s.finished()
		} else {
			text, err = s.readText(r, text[:0])
			s.finished()
			if err == nil && text != nil {
				err = s.handle(ctx, text)
			}
		}
		if err != nil {
			return err
		}
		if cap(text) > 8<<10 { // few are long
			text = make([]byte, 0, 4<<10)
		}
	}
}

// lostBy says how the connection ended.
func (s *session) lostBy(err error) error {
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("%w: message is too long", ErrProtocol)
	case errors.Is(err, ErrStalled):
		return ErrStalled
	case websocket.CloseStatus(err) == websocket.StatusPolicyViolation:
		return fmt.Errorf("%w: it closed the connection", ErrRefused)
	}
	return ErrLost
}

// readText reads a text message. It returns nil for one that is passed over.
func (s *session) readText(r io.Reader, text []byte) ([]byte, error) {
	for {
		if len(text) > maxText {
			if !s.dialled {
				return nil, fmt.Errorf("%w: text message over %d bytes", ErrProtocol, maxText)
			}
			if err := s.passOver(r, text); err != nil {
				return nil, err
			}
			return nil, s.wasUseless(kindHave)
		}
		text = slices.Grow(text, 1)
		n, err := r.Read(text[len(text):min(cap(text), len(text)+piece)])
		text = text[:len(text)+n]
		s.came(n)
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return nil, s.lostBy(err)
		}
	}
}

// passOver reads the rest of a message into scratch, for nothing.
func (s *session) passOver(r io.Reader, scratch []byte) error {
	scratch = scratch[:min(cap(scratch), piece)]
	for {
		n, err := r.Read(scratch)
		s.came(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return s.lostBy(err)
		}
	}
}
