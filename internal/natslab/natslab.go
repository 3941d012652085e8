// Package natslab runs clusters of NATS servers, each a process of its own, so that a
// test can kill them and have them come back.
//
// It is for tests alone: nothing that ships may import it.
package natslab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// asServer makes the test binary be a nats-server with that configuration.
const asServer = "AML_TEST_NATS_SERVER"

// Main is what TestMain begins with: in a process that Start has begun it does not
// return.
func Main() {
	conf := os.Getenv(asServer)
	if conf == "" {
		return
	}
	opts, err := server.ProcessConfigFile(conf)
	if err == nil {
		opts.NoLog = true
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.Start()
			s.WaitForShutdown()
			os.Exit(0)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Server is one member of a cluster.
type Server struct {
	Name, URL string

	t    testing.TB
	conf string
	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd  // nil: it does not run
}

// Servers are a cluster.
type Servers []*Server

// Cluster runs three servers that share JetStream, until the test ends. They need a
// while to find one another.
func Cluster(t testing.TB) Servers {
	t.Helper()
	ports := freePorts(t, 6)
	var routes []string
	for _, p := range ports[:3] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	var all Servers
	for i := range 3 {
		dir := t.TempDir()
		s := &Server{Name: fmt.Sprintf("s%d", i), URL: fmt.Sprintf("nats://127.0.0.1:%d", ports[3+i]), t: t, conf: filepath.Join(dir, "conf")}
		text := fmt.Sprintf("server_name: %s\nlisten: \"127.0.0.1:%d\"\njetstream { store_dir: %q }\ncluster { name: c, listen: \"127.0.0.1:%d\", routes: [%s] }\n",
			s.Name, ports[3+i], dir, ports[i], strings.Join(routes, ", "))
		if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(s.Kill)
		all = append(all, s)
	}
	return all
}

// freePorts are some that are free now, and that the system gives to nobody who asks for
// any port: a server comes back to its own.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer l.Close() // so that none is chosen twice
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no ports are free")
	return nil
}

// Start runs it, with what it had on its disk.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		s.t.Fatalf("%s runs already", s.Name)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+s.conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = cmd
}

// Kill is SIGKILL.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// URLs are where they are reached.
func (all Servers) URLs() (out []string) {
	for _, s := range all {
		out = append(out, s.URL)
	}
	return out
}

// Leader is the server that leads a stream, as soon as one does, within patience.
func (all Servers) Leader(ctx context.Context, stream string, patience time.Duration) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		name, err := leader(ctx, strings.Join(all.URLs(), ","), stream)
		for _, s := range all {
			if err == nil && s.Name == name {
				return s, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody leads the stream %s after %v: %w", stream, patience, err)
		}
	}
}

func leader(ctx context.Context, urls, stream string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	nc, err := nats.Connect(urls)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return "", err
	}
	if s.CachedInfo().Cluster == nil || s.CachedInfo().Cluster.Leader == "" {
		return "", errors.New("it has no leader")
	}
	return s.CachedInfo().Cluster.Leader, nil
}
