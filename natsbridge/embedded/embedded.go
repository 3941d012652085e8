// Package embedded runs a NATS server with JetStream inside this process, so
// that a bridge needs no other program. It is reached in memory; a port is
// opened only where the operator names one, and on loopback alone.
//
// It knows nothing of channels: what its streams are, who bridges decides. It
// must never listen on an address of the network, and never answer a local
// program with more rights than Local names.
package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrListen: the address to listen on is none of this machine alone.
var ErrListen = errors.New("the built-in NATS server listens on loopback alone, as 127.0.0.1:4222; for other machines run a nats-server with accounts (docs/nats.md)")

// Config is what Start needs.
type Config struct {
	Dir      string // of the streams; made if missing
	MaxStore int64  // bytes of all streams; if zero, 4 GiB
	MaxMsg   int32  // bytes of one message; if zero, 2 MiB

	Listen string // loopback HOST:PORT for other programs; empty: no port is opened
	Local  Rights // of those programs
}

// Rights are subjects, wildcards allowed.
type Rights struct {
	Publish, Subscribe []string
}

func (c *Config) validate() (netip.AddrPort, error) {
	if c.Dir == "" {
		return netip.AddrPort{}, errors.New("embedded NATS server has no folder")
	}
	if c.MaxStore < 0 || c.MaxMsg < 0 {
		return netip.AddrPort{}, errors.New("embedded NATS server: a negative limit")
	}
	if c.MaxStore == 0 {
		c.MaxStore = 4 << 30
	}
	if c.MaxMsg == 0 {
		c.MaxMsg = 2 << 20
	}
	if c.Listen == "" {
		return netip.AddrPort{}, nil
	}
	return Loopback(c.Listen)
}

// Loopback reads HOST:PORT, or PORT for 127.0.0.1. Port 0 is a free one.
func Loopback(s string) (netip.AddrPort, error) {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		s = "127.0.0.1:" + s
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil || !at.Addr().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("%.64q: %w", s, ErrListen)
	}
	return at, nil
}

// Server is a running server. Who made it shuts it down. One that could not write
// to its disk takes nothing more until it is started anew, which it is by itself
// once there is room.
type Server struct {
	cfg      Config
	at       netip.AddrPort // where it listens, if cfg says so
	password string
	room     func(dir string) error // whether there is some
	broken   chan struct{}          // holds one when it cannot write
	ending   chan struct{}
	ended    chan struct{}

	mu      sync.Mutex // guards what follows; never held while the server is called
	s       *server.Server
	trouble error
}

// startLimit bounds how long the streams may take to be read. A store of some
// gigabytes whose index was lost in a power cut takes a while.
const startLimit = 2 * time.Minute

// Start runs a server on the folder, and returns when it takes connections. Of
// one folder there must be one server at a time. What it has acknowledged is on
// disk: it syncs with every write.
func Start(cfg Config) (*Server, error) {
	at, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the NATS server: %w", err)
	}
	return start(cfg, at, room)
}

func start(cfg Config, at netip.AddrPort, room func(string) error) (*Server, error) {
	e := &Server{cfg: cfg, at: at, password: rand.Text(), room: room, broken: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{})}
	if err := e.begin(); err != nil {
		return nil, err
	}
	if e.cfg.Listen != "" && at.Port() == 0 { // started anew, it has the same one
		if addr, ok := e.s.Addr().(*net.TCPAddr); ok {
			e.at = netip.AddrPortFrom(at.Addr(), uint16(addr.Port))
		}
	}
	go e.tend()
	return e, nil
}

// begin starts the server.
func (e *Server) begin() error {
	opts := &server.Options{
		ServerName: "aml", DontListen: e.cfg.Listen == "", NoLog: true, NoSigs: true, NoSystemAccount: true,
		JetStream: true, StoreDir: e.cfg.Dir, SyncAlways: true, SyncInterval: time.Minute,
		JetStreamMaxStore: e.cfg.MaxStore, JetStreamMaxMemory: 64 << 20, MaxPayload: e.cfg.MaxMsg,
		MaxConn: 256, MaxSubs: 4096, MaxPending: 64 << 20,
		Users: []*server.User{
			{Username: bridgeUser, Password: e.password},
			{Username: localUser, Password: rand.Text(), Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: e.cfg.Local.Publish},
				Subscribe: &server.SubjectPermission{Allow: append([]string{"_INBOX.>"}, e.cfg.Local.Subscribe...)},
			}},
		},
		NoAuthUser: localUser,
	}
	if e.cfg.Listen != "" {
		opts.Host, opts.Port = e.at.Addr().String(), int(e.at.Port())
		if e.at.Port() == 0 {
			opts.Port = server.RANDOM_PORT
		}
	}
	if err := portTaken(opts); err != nil { // which the server would only log
		return fmt.Errorf("the built-in NATS server: %w", err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("making the built-in NATS server: %w", err)
	}
	e.mu.Lock()
	e.s = s
	e.mu.Unlock()
	s.SetLogger(listener{e, s}, false, false)
	go s.Start() // it returns once it listens, or with DontListen at its end
	switch {
	case !s.ReadyForConnections(startLimit):
		err = fmt.Errorf("the built-in NATS server on %s does not start; is another program using the folder?", e.cfg.Dir)
	case !s.JetStreamEnabled():
		err = fmt.Errorf("the built-in NATS server cannot keep streams in %s: is the folder writable, and the disk not full?", e.cfg.Dir)
	default:
		return nil
	}
	s.Shutdown()
	s.WaitForShutdown()
	return err
}

const (
	bridgeUser = "bridge"
	localUser  = "local"
)

// portTaken says whether the port is somebody else's.
func portTaken(opts *server.Options) error {
	if opts.DontListen || opts.Port == server.RANDOM_PORT {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
	if err != nil {
		return fmt.Errorf("%w; choose another port", err)
	}
	return l.Close()
}

// InProcessConn returns a connection in memory, as nats.InProcessServer wants it.
func (e *Server) InProcessConn() (net.Conn, error) { return e.now().InProcessConn() }

func (e *Server) now() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.s
}

// Login is the user of the bridge. The password is made anew for each Server and
// kept nowhere.
func (e *Server) Login() (user, password string) { return bridgeUser, e.password }

// URL is where local programs connect, or empty.
func (e *Server) URL() string {
	if e.cfg.Listen == "" {
		return ""
	}
	return e.now().ClientURL()
}

// Shutdown ends the server and waits for it.
func (e *Server) Shutdown() {
	close(e.ending)
	<-e.ended
	s := e.now()
	s.Shutdown()
	s.WaitForShutdown()
}
