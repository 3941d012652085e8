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

// Server is a running server. Who made it shuts it down.
type Server struct {
	s        *server.Server
	password string
	listens  bool
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
	e := &Server{password: rand.Text(), listens: cfg.Listen != ""}
	opts := &server.Options{
		ServerName: "aml", DontListen: !e.listens, NoLog: true, NoSigs: true, NoSystemAccount: true,
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: true, SyncInterval: time.Minute,
		JetStreamMaxStore: cfg.MaxStore, JetStreamMaxMemory: 64 << 20, MaxPayload: cfg.MaxMsg,
		MaxConn: 256, MaxSubs: 4096, MaxPending: 64 << 20,
		Users: []*server.User{
			{Username: bridgeUser, Password: e.password},
			{Username: localUser, Password: rand.Text(), Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: cfg.Local.Publish},
				Subscribe: &server.SubjectPermission{Allow: append([]string{"_INBOX.>"}, cfg.Local.Subscribe...)},
			}},
		},
		NoAuthUser: localUser,
	}
	if e.listens {
		opts.Host, opts.Port = at.Addr().String(), int(at.Port())
		if at.Port() == 0 {
			opts.Port = server.RANDOM_PORT
		}
	}
	if err := portTaken(opts); err != nil { // which the server would only log
		return nil, fmt.Errorf("the built-in NATS server: %w", err)
	}
	if e.s, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("making the built-in NATS server: %w", err)
	}
	go e.s.Start() // it returns once it listens, or with DontListen at its end
	if !e.s.ReadyForConnections(startLimit) {
		e.Shutdown()
		return nil, fmt.Errorf("the built-in NATS server on %s does not start; is another program using the folder?", cfg.Dir)
	}
	if !e.s.JetStreamEnabled() {
		e.Shutdown()
		return nil, fmt.Errorf("the built-in NATS server cannot keep streams in %s: is the folder writable, and the disk not full?", cfg.Dir)
	}
	return e, nil
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
func (e *Server) InProcessConn() (net.Conn, error) { return e.s.InProcessConn() }

// Login is the user of the bridge. The password is made anew at every start and
// kept nowhere.
func (e *Server) Login() (user, password string) { return bridgeUser, e.password }

// URL is where local programs connect, or empty.
func (e *Server) URL() string {
	if !e.listens {
		return ""
	}
	return e.s.ClientURL()
}

// Shutdown ends the server and waits for it.
func (e *Server) Shutdown() {
	e.s.Shutdown()
	e.s.WaitForShutdown()
}
