package embedded

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestItListensNowhereUnlessAskedAndThenOnLoopback(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Dir: filepath.Join(t.TempDir(), "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	if s.URL() != "" || s.now().Addr() != nil {
		t.Errorf("it listens at %s, %v", s.URL(), s.now().Addr())
	}
	user, password := s.Login()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(user, password))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for _, at := range []string{"0.0.0.0:4222", ":4222", "192.0.2.1:0", "[::]:4222", "host:1", "127.0.0.1", "127.0.0.1:70000", "x", "-1"} {
		if _, err := Start(Config{Dir: t.TempDir(), Listen: at}); !errors.Is(err, ErrListen) {
			t.Errorf("listening at %q: %v", at, err)
		}
	}
	for _, at := range []string{"0", "127.0.0.1:0", "[::1]:4222"} {
		if _, err := Loopback(at); err != nil {
			t.Errorf("%q: %v", at, err)
		}
	}
}

func TestLocalProgramsHaveTheRightsThatAreNamedAndNoOthers(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Dir: t.TempDir(), Listen: "0", Local: Rights{Publish: []string{"in.>"}, Subscribe: []string{"event.>"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	refused := make(chan error, 16)
	nc, err := nats.Connect(s.URL(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, name := range []string{"m.x", "$JS.API.STREAM.DELETE.x"} {
		if err := nc.Publish(name, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !strings.Contains(err.Error(), name) {
			t.Errorf("publishing on %s: %v", name, err)
		}
	}
	if _, err := nc.SubscribeSync("in.>"); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !strings.Contains(err.Error(), "in.>") {
		t.Errorf("listening to the input of others: %v", err)
	}
	if err := nc.Publish("in.x", nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil || len(refused) > 0 {
		t.Errorf("what is allowed is refused: %v", err)
	}
}

func TestWhatKeepsItFromStartingIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Dir: file}); err == nil {
		t.Error("a file is taken for a folder")
	}
	if _, err := Start(Config{}); err == nil {
		t.Error("it starts without a folder")
	}
	if _, err := Start(Config{Dir: t.TempDir(), MaxStore: -1}); err == nil {
		t.Error("it starts with a negative limit")
	}
	if _, err := Start(Config{Dir: t.TempDir(), Listen: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("on a port that is taken: %v", err)
	}
}
