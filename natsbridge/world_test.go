package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// startServer runs a nats-server on loopback with JetStream in dir, or without
// where dir is empty.
func startServer(t testing.TB, dir string, change func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{ServerName: "one", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: dir != "", StoreDir: dir}
	if change != nil {
		change(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server does not start")
	}
	return s
}

// freePorts returns ports of loopback that were free a moment ago.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func urls(all ...*server.Server) (out []string) {
	for _, s := range all {
		out = append(out, s.ClientURL())
	}
	return out
}

// site is a ledger with a bridge.
type site struct {
	t       testing.TB
	name    string
	ledger  *catalog.Catalog
	cancel  context.CancelFunc
	ended   chan error
	mu      sync.Mutex // guards what follows
	events  []Event
	chosen  []channel.ID
	tellsTo []*site
}

func newLedger(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newSite(t testing.TB, name string, ids ...channel.ID) *site {
	t.Helper()
	s := &site{t: t, name: name, ledger: newLedger(t)}
	s.follow(ids...)
	return s
}

func (s *site) follow(ids ...channel.ID) {
	s.t.Helper()
	for _, id := range ids {
		if err := s.ledger.Expect(s.t.Context(), id, catalog.Followed); err != nil {
			s.t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chosen = append(s.chosen, ids...)
}

// append gives the ledger envelopes as its own publisher would.
func (s *site) append(envelopes ...[]byte) {
	s.t.Helper()
	if err := s.ledger.Append(s.t.Context(), envelopes...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) config(urls ...string) Config {
	return Config{
		Server: Server{URLs: urls}, Ledger: s.ledger, Name: s.name, Retry: 20 * time.Millisecond, RepairInterval: 200 * time.Millisecond,
		Channels: func(context.Context) ([]channel.ID, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return append([]channel.ID{}, s.chosen...), nil
		},
		Tell: s.tell,
		OnEvent: func(e Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	}
}

// tell stands for aml's own network.
func (s *site) tell(ctx context.Context, _ channel.ID, envelopes ...[]byte) error {
	s.mu.Lock()
	to := append([]*site{}, s.tellsTo...)
	s.mu.Unlock()
	for _, other := range to {
		if _, err := other.ledger.OfferAll(ctx, envelopes); err != nil {
			return err
		}
	}
	return nil
}

// bridge runs a bridge until the test ends, or stop.
func (s *site) bridge(cfg Config) {
	s.t.Helper()
	b, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	s.cancel, s.ended = cancel, ended
	stopped := false
	s.t.Cleanup(func() {
		if s.ended == ended && !stopped {
			s.stop()
		}
	})
}

func (s *site) stop() {
	s.t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("%s: bridge ended with %v", s.name, err)
		}
	case <-time.After(patience):
		s.t.Errorf("%s: bridge does not end", s.name)
	}
	s.cancel = nil
}

func (s *site) saw(kind EventKind) (found []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func (s *site) connected() {
	s.t.Helper()
	until(s.t, s.name+" is connected", func() bool { return len(s.saw(EventConnected)) > 0 })
}

func (s *site) info(id channel.ID) catalog.Info {
	s.t.Helper()
	info, err := s.ledger.Channel(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

// has waits until a ledger has all releases of a channel.
func (s *site) has(c *channeltest.Channel) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%s has release %d of %s", s.name, c.Seq, c.Name), func() bool {
		for _, l := range s.info(c.ID).Logs {
			if l.Log == c.Key() && l.Seq == c.Seq && l.Hash == c.Hash {
				return true
			}
		}
		return false
	})
}

// whole says that a ledger has every release once, and that they came in order.
func (s *site) whole(c *channeltest.Channel, want [][]byte) {
	s.t.Helper()
	got := [][]byte{}
	for uint64(len(got)) < c.Seq {
		more, err := s.ledger.Manifests(s.t.Context(), c.ID, c.Key(), uint64(len(got))+1, c.Seq, 256, 1<<20)
		if err != nil || len(more) == 0 {
			s.t.Fatalf("%s has %d of %d releases: %v", s.name, len(got), c.Seq, err)
		}
		got = append(got, more...)
	}
	for i := range want {
		if string(got[i]) != string(want[i]) {
			s.t.Fatalf("%s: release %d is another", s.name, i+1)
		}
	}
	var after int64
	seq := uint64(0)
	for {
		page, err := s.ledger.Releases(s.t.Context(), c.ID, after, 256)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			if seq++; r.Manifest.Seq != seq {
				s.t.Fatalf("%s: release %d came where %d should", s.name, r.Manifest.Seq, seq)
			}
			after = r.Position
		}
	}
	if seq != c.Seq {
		s.t.Fatalf("%s has %d releases, not %d", s.name, seq, c.Seq)
	}
}

// client is somebody else on a server.
func client(t testing.TB, url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// messages counts what lies in a stream of the network main.
func messages(t testing.TB, js jetstream.JetStream, what string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), newNames(DefaultNetwork).stream(what))
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.DeadlineExceeded) { // there is none, or no leader
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// everWritten is how many messages a stream has ever taken.
func everWritten(t testing.TB, js jetstream.JetStream, what string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), newNames(DefaultNetwork).stream(what))
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

var _ Ledger = (*catalog.Catalog)(nil)

// releases signs n of them.
func releases(c *channeltest.Channel, n int) (out [][]byte) {
	for range n {
		out = append(out, c.Files(fmt.Sprintf("%s/%d", c.Name, c.Seq+1)))
	}
	return out
}

func rawOn(name string, data []byte) *jetstream.RawStreamMsg {
	return &jetstream.RawStreamMsg{Subject: name, Data: data}
}

// consumer is what a site's own consumers are called.
func (s *site) consumer() string { return "aml-" + s.name }
