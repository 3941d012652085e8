//go:build unix

package natslab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// One runs a server that is in no cluster, until the test ends.
func One(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	port := freePorts(t, 1)[0]
	s := &Server{Name: "one", URL: fmt.Sprintf("nats://127.0.0.1:%d", port), t: t, conf: filepath.Join(dir, "conf")}
	text := fmt.Sprintf("server_name: one\nlisten: \"127.0.0.1:%d\"\njetstream { store_dir: %q }\n", port, dir)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Stop has it stand still (SIGSTOP): its connections stay, and nothing comes. Go on with
// Continue.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue has it go on (SIGCONT).
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatalf("%s does not run", s.Name)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
