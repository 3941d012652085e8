package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// testPatience is how long a test waits for what must happen.
const testPatience = 3 * time.Minute

// runningNode is a node of its own on loopback, until the test ends, with settings: keys,
// each with its value.
func runningNode(t testing.TB, settings ...any) *Node {
	t.Helper()
	values := map[string]any{"listen": []string{"/ip4/127.0.0.1/tcp/0"}, "lan": false, "dht": false, "minfree": "0"}
	for pair := range slices.Chunk(settings, 2) {
		values[pair[0].(string)] = pair[1]
	}
	cfg, err := config.Load(config.Flags{Home: filepath.Join(t.TempDir(), "home"), Values: values})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), Config{Config: cfg, Log: slog.New(slog.DiscardHandler), Network: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := n.online(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// startNATS runs a server with JetStream on loopback.
func startNATS(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testPatience) {
		t.Fatal("nats-server does not start")
	}
	return s
}

// told are the events of a fleet.
type told struct {
	mu  sync.Mutex
	all []any
}

func (e *told) emit(v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, v)
}

func (e *told) errors() (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.all {
		if v, ok := v.(ErrorEvent); ok {
			out = append(out, v.Message)
		}
	}
	return out
}

func (e *told) warnings() (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.all {
		if v, ok := v.(WarningEvent); ok {
			out = append(out, v.Message)
		}
	}
	return out
}

// aloneInAFleet is the work of a member that knows no others on a channel.
func aloneInAFleet(t testing.TB, n *Node, c *channeltest.Channel, urls ...string) (*fleet, *mirroring, *told) {
	t.Helper()
	if err := n.catalog.Expect(t.Context(), c.ID, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	if _, err := n.catalog.OfferAll(t.Context(), [][]byte{c.Envelope}); err != nil {
		t.Fatal(err)
	}
	ledger, err := n.mirrors.open(t.Context(), n.cfg.Paths.Mirror)
	if err != nil {
		t.Fatal(err)
	}
	events := &told{}
	f := n.newFleet(n.net, FleetRequest{NATSServer: NATSServer{URLs: urls}, Group: "g", TTL: Duration(minTTL)}, events.emit)
	m, err := n.newMirroring(t.Context(), n.net, ledger, c.ID, events.emit)
	if err != nil {
		t.Fatal(err)
	}
	m.fleet, f.workers[c.ID] = f, m
	f.settled = true
	return f, m, events
}

func offerAll(t testing.TB, n *Node, envelopes ...[]byte) {
	t.Helper()
	out, err := n.catalog.OfferAll(t.Context(), envelopes)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
}

// fileBlob is the blob of a release of channeltest with a file of that name.
func fileBlob(name string) []byte { return []byte("blob of " + name) }

// What nobody has needs a job, and NATS is away: what there is of other releases is kept
// all the same.
func TestWhatCannotBeAskedForKeepsNoOtherReleaseFromAMember(t *testing.T) {
	t.Parallel()
	n, c := runningNode(t), channeltest.NewChannel(t, "c")
	s := startNATS(t)
	f, m, events := aloneInAFleet(t, n, c, s.ClientURL())
	conn, err := natsbridge.Dial(t.Context(), natsbridge.Server{URLs: []string{s.ClientURL()}}, natsbridge.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := conn.Jobs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f.answers(jobs)
	conn.Close()
	const releases, absent = 40, 10
	for i := range releases {
		name := fmt.Sprint("file", i)
		offerAll(t, n, c.Release(channel.Body{Title: name, Entries: []channel.FileEntry{channeltest.Entry(name, 1000)}}))
		if i >= absent {
			if err := n.disk.Put(t.Context(), blobnet.Sum(fileBlob(name)), fileBlob(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left, err := m.catchUp(t.Context()); err != nil || left != absent {
		t.Errorf("%d releases are not to be had, %v; want %d", left, err, absent)
	}
	if got := events.errors(); len(got) == 0 || len(got) > mirrorReleases {
		t.Errorf("of %d that could not be asked for it was told %d times: %q", absent, len(got), got)
	}
	f.answers(nil) // that is known now
	if left, err := m.catchUp(t.Context()); err != nil || left != absent {
		t.Errorf("%d releases are not to be had, %v; want %d", left, err, absent)
	}
	if got := events.errors(); len(got) > mirrorReleases {
		t.Errorf("told again: %q", got)
	}
}

// The queue is lost. It is made anew, and who is at work says beats all the time: the
// connection is the same.
func TestAMemberWhoseQueueIsLostGoesOnBeing(t *testing.T) {
	t.Parallel()
	n, c, s := runningNode(t), channeltest.NewChannel(t, "c"), startNATS(t)
	f, _, events := aloneInAFleet(t, n, c, s.ClientURL())
	nc, err := nats.Connect(s.ClientURL(), nats.Name("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	members := func() (ids []uint64) {
		z, err := s.Connz(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Conns {
			if c.Name == "aml" {
				ids = append(ids, c.Cid)
			}
		}
		return ids
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	until := func(what string, holds func(context.Context) bool) {
		t.Helper()
		limited, cancel := context.WithTimeout(t.Context(), testPatience)
		defer cancel()
		for ; !holds(limited); <-tick.C {
			if limited.Err() != nil {
				t.Fatalf("still not: %s; told was %q", what, events.errors())
			}
		}
	}
	queue := func(ctx context.Context) bool {
		_, err := js.Stream(ctx, "aml_main_JOBS")
		return err == nil
	}
	until("there is a queue", queue)
	until("jobs are taken", func(ctx context.Context) bool {
		_, err := js.Consumer(ctx, "aml_main_JOBS", "aml-"+f.jobKind(c.ID))
		return err == nil
	})
	before := members()
	if err := js.DeleteStream(t.Context(), "aml_main_JOBS"); err != nil {
		t.Fatal(err)
	}
	until("there is a queue again", queue)
	if after := members(); len(before) != 1 || !slices.Equal(before, after) {
		t.Errorf("connections were %v, and are %v", before, after)
	}
}
