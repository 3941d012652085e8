package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/internal/crowd"
)

// Server is a Handler with a port. Make one with NewServer, then call Run.
type Server struct {
	cfg     ServerConfig
	handler *Handler
	serving sync.WaitGroup // requests

	mu       sync.Mutex // guards what follows; never held across I/O but Listen's
	listener net.Listener
	started  bool
	ended    bool // Run is: no request begins any more
}

// NewServer returns a server that does nothing before Run.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h, err := NewHandler(cfg.HandlerConfig)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, handler: h}, nil
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

// enter lets a request in that Run waits for. One that was read at the last
// moment is not.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.serving.Add(1)
	return true
}

// closeTimeout is how long requests under way may take when the server ends.
const closeTimeout = 2 * time.Second

// Run serves until ctx ends, and returns when all connections are closed. It
// can be called once. That ctx ended is no error.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.mu.Lock()
	l, started := s.listener, s.started
	s.started = true
	s.mu.Unlock()
	if started {
		return errors.New("httpmirror: Run was called before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	base, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.enter() {
				return
			}
			defer s.serving.Done()
			s.handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: s.cfg.StallTimeout,
		ReadTimeout:       s.cfg.StallTimeout,
		WriteTimeout:      s.cfg.StallTimeout, // the pacer sets later ones
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		short, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		srv.Shutdown(short)
		abort()
		srv.Close()
	})
	err := srv.Serve(crowd.Limit(l, s.cfg.MaxConns, s.cfg.MaxConnsPerIP))
	ended := ctx.Err() != nil
	if stop() {
		close(done)
		abort()
		srv.Close()
	}
	<-done
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.serving.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("httpmirror: %w", err)
}
