package wsbridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Peer is what one node of the document's protocol has, as a blobnet.Source.
// Its connection is opened when needed, again if it was lost, and closed when
// idle. All methods may be called from many goroutines at once.
type Peer struct {
	cfg    PeerConfig
	url    string // with user and query; only for dialling
	name   string
	memory *memory
	in     incoming
	tls    *tls.Config // set by tests

	ctx     context.Context // ends with Close
	stop    context.CancelCauseFunc
	running sync.WaitGroup
	wanting chan struct{} // has a token while a WANT is open

	mu      sync.Mutex // guards what follows; never held across I/O
	closed  bool
	current *session      // nil if there is none
	opening chan struct{} // not nil while one is opened; closed then
}

var _ blobnet.Source = (*Peer)(nil)

// NewPeer returns a peer that dials nothing yet. Close it after use.
func NewPeer(cfg PeerConfig) (*Peer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return nil, errors.New("wsbridge: the peer's URL is not ws://HOST:PORT/ or wss://HOST/") // not what it is: it may hold a password
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	p := &Peer{cfg: cfg, url: u.String(), memory: newMemory(4 * blobnet.MaxBlobSize), wanting: make(chan struct{}, 1)}
	u.User, u.RawQuery, u.ForceQuery = nil, "", false
	p.name = u.String()
	p.ctx, p.stop = context.WithCancelCause(context.Background())
	return p, nil
}

// Name returns the URL without user and query.
func (p *Peer) Name() string { return p.name }

// Came is how many bytes of blobs the node has sent, as they come, wanted or not.
func (p *Peer) Came() int64 { return p.in.bytes.Load() }

// Close ends the connection and waits for that. Gets under way then return
// ErrLost.
func (p *Peer) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop(blobnet.ErrClosed)
	p.running.Wait()
	return nil
}

// Get asks the node for a blob, as blobnet.Source says. Beside the errors of
// blobnet it gives BusyError, ErrStalled, ErrLost, ErrRefused,
// MisbehaviourError or what dialling gave. The protocol has no way to cancel:
// a blob that nobody waits for any more is sent nevertheless.
func (p *Peer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	short, cancel := context.WithTimeoutCause(ctx, p.cfg.RequestTimeout, ErrStalled)
	defer cancel()
	buf, s, err := p.ask(short, id)
	if err != nil {
		if short.Err() != nil && ctx.Err() == nil {
			err = ErrStalled
		}
		return dst, fmt.Errorf("getting blob %s from %s: %w", id.Short(), p.name, err)
	}
	defer p.in.put(buf)
	if blobnet.Sum(*buf) != id {
		err := &MisbehaviourError{Peer: p.name, Err: blobnet.ErrCorrupt}
		p.event(Event{Kind: KindMisbehaviour, Peer: p.name, PeerID: s.name(), ID: id, Bytes: int64(len(*buf)), Err: err})
		s.cancel(fmt.Errorf("%w: wrong bytes for another blob", ErrLost))
		return dst, fmt.Errorf("getting blob %s from %s: %w", id.Short(), p.name, err)
	}
	p.event(Event{Kind: KindDownload, Peer: p.name, PeerID: s.name(), ID: id, Bytes: int64(len(*buf))})
	return append(dst, *buf...), nil
}

// ask asks once more if the connection, which had served before, was closed by
// the node while the request was under way.
func (p *Peer) ask(ctx context.Context, id blobnet.ID) (*[]byte, *session, error) {
	for {
		s, fresh, err := p.session(ctx)
		if err != nil {
			return nil, nil, err
		}
		buf, err := s.ask(ctx, id)
		if err == nil || fresh || !errors.Is(err, ErrLost) || ctx.Err() != nil {
			return buf, s, err
		}
	}
}

// Have asks the node which of ids it has and returns the answers in the same
// order. The node is free to lie; one that says nothing is taken to have none.
func (p *Peer) Have(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, 0, len(ids))
	for len(has) < len(ids) {
		batch := ids[len(has):min(len(has)+maxIDs, len(ids))]
		got, err := p.want(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("asking %s for %d blobs: %w", p.name, len(batch), err)
		}
		for _, id := range batch {
			has = append(has, got[id])
		}
	}
	return has, nil
}

func (p *Peer) want(ctx context.Context, ids []blobnet.ID) (map[blobnet.ID]bool, error) {
	// HAVE does not say what it answers: so one at a time.
	select {
	case p.wanting <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.wanting }()
	for {
		s, fresh, err := p.session(ctx)
		if err != nil {
			return nil, err
		}
		has, err := s.wantHave(ctx, ids, p.cfg.HaveTimeout)
		if err == nil || fresh || !errors.Is(err, ErrLost) || ctx.Err() != nil {
			return has, err
		}
	}
}

// session returns the connection, after opening one if there is none. fresh
// says that it was opened for this call.
func (p *Peer) session(ctx context.Context) (s *session, fresh bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		p.mu.Lock()
		switch opening := p.opening; {
		case p.closed:
			p.mu.Unlock()
			return nil, false, blobnet.ErrClosed
		case p.current != nil:
			s := p.current
			p.mu.Unlock()
			return s, false, nil
		case opening != nil:
			p.mu.Unlock()
			select {
			case <-opening:
			case <-ctx.Done():
			}
		default:
			p.opening = make(chan struct{})
			p.running.Add(1) // Close waits for what was begun before it
			p.mu.Unlock()
			s, err := p.open(ctx)
			return s, true, err
		}
	}
}

// open dials and begins to run the session.
func (p *Peer) open(ctx context.Context) (*session, error) {
	s, err := p.dial(ctx)
	run, cancel := context.WithCancelCause(p.ctx)
	if err == nil {
		s.cancel = cancel
		s.gone = func() { p.forget(s) }
	}
	p.mu.Lock()
	p.current = s
	close(p.opening)
	p.opening = nil
	p.mu.Unlock()
	if err != nil {
		cancel(nil)
		p.running.Done()
		return nil, err
	}
	go func() {
		defer p.running.Done()
		s.run(run)
		cancel(nil)
	}()
	return s, nil
}

// forget takes leave of a session that is over.
func (p *Peer) forget(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == s {
		p.current = nil
	}
}

func (p *Peer) dial(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.StallTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	x := &session{
		lim: &p.cfg.Limits, peer: p.name, self: p.cfg.PeerID, dialled: true, store: p.cfg.Store,
		memory: p.memory, in: &p.in, tell: p.event, wants: rate.NewLimiter(wantRate, wantBurst),
	}
	x.setup()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := p.cfg.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			x.raw = newPaced(p.ctx, c, &p.cfg.Limits, p.cfg.Upload, p.name, nil)
			return x.raw, nil
		},
		TLSClientConfig:        p.tls,
		TLSHandshakeTimeout:    p.cfg.StallTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ws, resp, err := websocket.Dial(ctx, p.url, &websocket.DialOptions{HTTPClient: client, OnPingReceived: x.ping})
	if err != nil {
		return nil, p.dialError(ctx, resp, err)
	}
	x.ws = ws
	return x, nil
}

// dialError says why there is no connection, without the URL.
func (p *Peer) dialError(ctx context.Context, resp *http.Response, err error) error {
	if p.ctx.Err() != nil {
		return blobnet.ErrClosed
	}
	if resp != nil && (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests) {
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil || after < 0 {
			after = 5
		}
		return &BusyError{After: min(time.Duration(min(after, 3600))*time.Second, time.Hour)}
	}
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%w: it answers HTTP %d where a WebSocket was asked for", ErrRefused, resp.StatusCode)
	}
	var u *url.Error
	if !errors.As(err, &u) {
		return fmt.Errorf("connecting: %w: no WebSocket", ErrRefused)
	}
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("connecting: %w", ErrStalled)
	}
	err = u.Err // u itself tells the URL
	return fmt.Errorf("connecting: %w", err)
}

func (p *Peer) event(e Event) {
	if p.cfg.OnEvent != nil {
		p.cfg.OnEvent(e)
	}
}
