package wsbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/crowd"
)

// Server serves blobs to whoever connects. Make one with NewServer, then call
// Run.
type Server struct {
	cfg    Config
	memory *memory

	mu       sync.Mutex // guards what follows; never held across I/O
	listener net.Listener
	ctx      context.Context // of Run; nil before it
	sessions map[*session]string
	leaving  int  // sessions that lost their place and are not over
	ended    bool // Run is: no session begins any more
	visitors map[string]*visitor
	running  sync.WaitGroup // of sessions
}

// visitor is what one address uses.
type visitor struct {
	conns int
	wants *rate.Limiter
}

// NewServer returns a server that does nothing before Run.
func NewServer(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, memory: newMemory(cfg.MaxMemory),
		sessions: make(map[*session]string), visitors: make(map[string]*visitor),
	}, nil
}

// Listen opens the port, so that Addr is known. Run does so if nobody has. The
// error names the address and, where there is one, the remedy.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := crowd.Listen(s.cfg.Addr)
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

// Addr is where the server listens, nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends, and returns when all connections are closed. It
// can be called once. That ctx ended is no error.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.ctx != nil {
		s.mu.Unlock()
		return errors.New("wsbridge: Run was called before")
	}
	s.ctx = ctx
	l := s.listener
	s.mu.Unlock()

	// Those who are over the limits of peers get an answer that says so, if
	// they are not too many themselves.
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.upgrade),
		ReadHeaderTimeout: s.cfg.StallTimeout,
		IdleTimeout:       s.cfg.StallTimeout,
		WriteTimeout:      s.cfg.StallTimeout, // until the upgrade
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		srv.Close()
	})
	err := srv.Serve(&pacing{crowd.Limit(l, 2*s.cfg.MaxConns, 2*s.cfg.MaxConnsPerIP), s, ctx})
	ended := ctx.Err() != nil
	cancel()
	if stop() {
		close(closed)
	}
	<-closed
	srv.Close()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.running.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("wsbridge: %w", err)
}

type connKey struct{}

// pacing makes what it accepts paced.
type pacing struct {
	net.Listener
	s   *Server
	ctx context.Context
}

func (p *pacing) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newPaced(p.ctx, c, &p.s.cfg.Limits, p.s.cfg.Upload, crowd.Key(c.RemoteAddr()), p.s.memory.scarce), nil
}

// upgrade answers an HTTP request: with a session, if it asks for a WebSocket.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.URL.Path != "/" {
		http.Error(w, "the WebSocket is at /", http.StatusNotFound)
		return
	}
	if !s.allowed(r.Header.Values("Origin")) {
		http.Error(w, "web pages may not connect here", http.StatusForbidden)
		return
	}
	raw, ok := r.Context().Value(connKey{}).(*paced)
	if !ok || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		h.Set("Connection", "close")
		h.Set("Upgrade", "websocket")
		http.Error(w, "this is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	x := &session{
		lim: &s.cfg.Limits, raw: raw, peer: r.RemoteAddr, self: s.cfg.PeerID, store: s.cfg.Store, memory: s.memory,
		in: new(incoming), tell: s.event,
	}
	x.setup()
	ctx, victim := s.admit(x, crowd.Key(raw.RemoteAddr()))
	if ctx == nil {
		h.Set("Connection", "close")
		h.Set("Retry-After", "10")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	defer s.release(x)
	if victim != nil {
		victim.cancel(errCrowded)
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // allowed has looked
		OnPingReceived:     x.ping,
	})
	if err != nil {
		return // it has answered
	}
	x.ws = ws
	x.run(ctx)
}

// allowed reports whether pages of the origin may connect. What is no browser
// has none.
func (s *Server) allowed(origins []string) bool {
	for _, o := range origins {
		if !slices.Contains(s.cfg.Origins, "*") && !slices.Contains(s.cfg.Origins, o) {
			return false
		}
	}
	return true
}

// admit counts a session and returns its context, nil if there are too many.
// Where all places are taken, the session that has been idle longest loses its
// place; the caller cancels that victim. So silent connections keep nobody out.
func (s *Server) admit(x *session, key string) (ctx context.Context, victim *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.visitors[key]
	if s.ended || v != nil && v.conns >= s.cfg.MaxConnsPerIP {
		return nil, nil
	}
	if len(s.sessions) >= s.cfg.MaxConns {
		// Who is made to leave takes a moment; there is a bound to that too.
		if victim = s.idlest(); victim == nil || s.leaving >= s.cfg.MaxConns {
			return nil, nil
		}
		s.forget(victim)
		s.leaving++
		v = s.visitors[key]
	}
	if v == nil {
		v = &visitor{wants: rate.NewLimiter(wantRate, wantBurst)}
		s.visitors[key] = v
	}
	v.conns++
	x.wants = v.wants
	s.sessions[x] = key
	s.running.Add(1)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := context.AfterFunc(s.ctx, func() { cancel(blobnet.ErrClosed) })
	x.cancel = func(err error) { stop(); cancel(err) }
	return ctx, victim
}

// idlest returns the session that has been idle longest, nil if none is. s.mu
// is held.
func (s *Server) idlest() (best *session) {
	var since time.Time
	for x := range s.sessions {
		if t, idle := x.idle(); idle && (best == nil || t.Before(since)) {
			best, since = x, t
		}
	}
	return best
}

// forget takes away a session's place. s.mu is held.
func (s *Server) forget(x *session) {
	key := s.sessions[x]
	delete(s.sessions, x)
	v := s.visitors[key]
	if v.conns--; v.conns == 0 {
		delete(s.visitors, key)
	}
}

func (s *Server) release(x *session) {
	x.cancel(blobnet.ErrClosed) // if it has not been
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[x]; ok {
		s.forget(x)
	} else {
		s.leaving--
	}
	s.running.Done()
}

func (s *Server) event(e Event) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}
