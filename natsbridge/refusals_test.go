package natsbridge

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestAUserWithoutTheRightsIsToldWhichAndWhatToDo(t *testing.T) {
	t.Parallel()
	c := channeltest.NewChannel(t, "c")
	at := newSite(t, "at", c.ID)
	reader, readersSeed := newUser(t)
	inbox, inboxSeed := newUser(t)
	s := startServer(t, t.TempDir(), func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{
			{Nkey: reader, Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{">"}}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", "aml.v1.main.event.>"}},
			}},
			{Nkey: inbox, Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_bridge.>", "aml.>"}}}},
		}
	})
	for seed, want := range map[string]error{readersSeed: ErrRights, inboxSeed: ErrInbox} {
		cfg := at.config()
		cfg.Server = Server{URLs: urls(s), NKey: file(t, seed)}
		if err := runs(t, cfg); !errors.Is(err, want) {
			t.Errorf("instead of %v: %v", want, err)
		}
	}
}

func TestAServerWithoutTLSIsNotTriedWithoutEnd(t *testing.T) {
	t.Parallel()
	c := channeltest.NewChannel(t, "c")
	cfg := newSite(t, "at", c.ID).config(strings.Replace(startServer(t, t.TempDir(), nil).ClientURL(), "nats://", "tls://", 1))
	if err := runs(t, cfg); !errors.Is(err, ErrTLS) {
		t.Errorf("it ends with %v", err)
	}
}

func TestAServerThatHangsIsToldOnce(t *testing.T) {
	t.Parallel()
	b, err := New(newSite(t, "at").config("nats://127.0.0.1:4222"))
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Int32
	b.cfg.OnEvent = func(Event) { told.Add(1) }
	for port := range 5 {
		b.fail(&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40_000 + port}, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4222}, Err: errors.New("i/o timeout")})
	}
	if told.Load() != 1 {
		t.Errorf("it was told %d times", told.Load())
	}
	b.fail(errors.New("something else"))
	if told.Load() != 2 {
		t.Error("another failure was not told")
	}
}

func TestWhatIsNotConfirmedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	err := explain(explain(fmt.Errorf("publishing x: %w", jetstream.ErrAsyncPublishTimeout)))
	if !errors.Is(err, ErrSilent) || Hopeless(err) || strings.Count(err.Error(), "restart nats-server") != 1 {
		t.Errorf("it is %v", err)
	}
}

func TestTheFirstPauseAfterACutIsTheOneThatTheTextNames(t *testing.T) {
	t.Parallel()
	opts, err := Server{URLs: []string{"nats://127.0.0.1:1"}}.options(func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	var all nats.Options
	for _, set := range opts {
		if err := set(&all); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if d := all.CustomReconnectDelayCB(1); d < firstPause/2 || d > firstPause { // as nats.go counts
			t.Fatalf("the first pause is %v", d)
		}
	}
	if d := Backoff(0); d > firstPause || firstPause != 500*time.Millisecond {
		t.Errorf("at the start it is %v", d)
	}
}
