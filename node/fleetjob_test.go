package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// queueOf opens the queue of a server for a fleet until what it returns is called, and a
// view of its own of it.
func queueOf(t *testing.T, f *fleet, url string) (queue jetstream.Stream, end func()) {
	t.Helper()
	conn, err := natsbridge.Dial(t.Context(), natsbridge.Server{URLs: []string{url}}, natsbridge.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	jobs, err := conn.Jobs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f.answers(jobs)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "aml_main_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	return s, conn.Close
}

// Releases of which nobody has a blob, and that are never given up here, are before one
// of which all is to be had.
func TestReleasesThatMissABlobHoldUpNoOther(t *testing.T) {
	t.Parallel()
	n, c, s := runningNode(t), channeltest.NewChannel(t, "c"), startNATS(t)
	f, m, events := aloneInAFleet(t, n, c, s.ClientURL())
	queue, end := queueOf(t, f, s.ClientURL())
	var err error
	if m.swarm, err = fetch.New(fetch.Config{Store: n.blobs.Keeper(), StallTimeout: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	f.jobIdle = 10 * time.Millisecond
	const broken = 6
	subject := ""
	for i := range broken + 1 {
		name := fmt.Sprint("file", i)
		offerAll(t, n, c.Release(channel.Body{Title: name, Entries: []channel.FileEntry{channeltest.Entry(name, 1000)}}))
		if !f.declare(t.Context(), c.ID, c.Hash) {
			t.Fatal(events.errors())
		}
		subject = "aml.v1.main.job." + f.jobKind(c.ID) + "." + c.Hash.String()
		if i == broken {
			if err := n.disk.Put(t.Context(), blobnet.Sum(fileBlob(name)), fileBlob(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := queue.GetLastMsgForSubject(t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.work(ctx, m) }()
	defer func() { cancel(); end(); <-ended }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(testPatience); ; <-tick.C {
		if _, err := queue.GetLastMsgForSubject(t.Context(), subject); errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the last job is still not done; told was %q", events.errors())
		}
	}
	if info, err := queue.Info(t.Context()); err != nil || info.State.Msgs != broken {
		t.Errorf("%+v, %v; want the %d jobs that wait", info, err, broken)
	}
}

// One job is done after the other as long as blobs come, and those that were given out
// before wait for nobody.
func TestAJobHasTheTurnUntilNothingComes(t *testing.T) {
	t.Parallel()
	turns := newJobTurns(time.Hour)
	if !turns.next(t.Context()) {
		t.Fatal("there is no turn")
	}
	first := turns.begin(false)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if turns.next(over) {
		t.Error("a second job is begun beside one that gets blobs")
	}
	first.leave() // nothing came
	first.came()
	for range maxJobs - 1 {
		if !turns.next(t.Context()) {
			t.Fatal("a job that waits has the turn")
		}
		defer turns.begin(true).end()
	}
	if len(turns.places) != maxJobs {
		t.Errorf("%d jobs are at it, want %d", len(turns.places), maxJobs)
	}
	first.end()
	if !turns.next(t.Context()) {
		t.Fatal("what is over keeps its place")
	}
	turns.unused()
}

// A listing makes no streams: they would have the replicas that it happens to say, and
// nobody would know.
func TestToListDeadLettersMakesNoStreamsAndFewerReplicasAreTold(t *testing.T) {
	t.Parallel()
	n, s := runningNode(t), startNATS(t)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	req := DeadLettersRequest{NATSServer: NATSServer{URLs: []string{s.ClientURL()}}}
	ask := func() (res DeadLettersResult, err error) { // an answer may be late on a slow machine
		for end := time.Now().Add(testPatience); ; {
			if res, err = n.DeadLetters(t.Context(), req, nil); !errors.Is(err, context.DeadlineExceeded) || time.Now().After(end) {
				return res, err
			}
		}
	}
	if res, err := ask(); err != nil || len(res.Letters) != 0 {
		t.Errorf("%v, %v", res, err)
	}
	req.Revive = "fetch/abc"
	if _, err := ask(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reviving what is not there: %v", err)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("there is a stream %s", name)
	}
	c := channeltest.NewChannel(t, "c")
	f, _, events := aloneInAFleet(t, n, c, s.ClientURL())
	queueOf(t, f, s.ClientURL()) // with one replica
	f.req.Replicas = 3
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	f.emit = func(v any) {
		if events.emit(v); len(events.warnings()) > 1 {
			cancel()
		}
	}
	if err := f.run(ctx); err != nil {
		t.Fatal(err)
	}
	got := events.warnings()
	if len(got) != 2 || !strings.Contains(got[0], "aml_main_JOBS") || !strings.Contains(got[0], "--replicas 3") || !strings.Contains(got[1], "aml_main_DEAD") {
		t.Errorf("told was %q", got)
	}
}
