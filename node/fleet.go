package node

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/mirror"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// FleetRequest says in which group a mirror is. Without a Group it is alone.
type FleetRequest struct {
	NATSServer
	Group    string   `json:"group"`
	Copies   int      `json:"copies"`   // members that keep each release; 0: 3
	TTL      Duration `json:"ttl"`      // a member that is silent for so long is dead; 0: 30 s
	Members  []string `json:"members"`  // peer ids that may be members; none: whoever may speak in the group
	Replicas int      `json:"replicas"` // of streams that are made; 0: 1
}

const (
	fleetCopies        = 3
	fleetTTL           = 30 * time.Second
	minTTL, maxTTL     = 3 * time.Second, time.Hour
	beatsPerTTL        = 6
	memberAddrs        = 10 * time.Minute // how long an address that a member told is remembered
	memberDial         = 30 * time.Second
	newsPause          = time.Second // between two beats that are not due, and two wakings
	maxCopies          = 16
	jobPatience        = 20 * time.Second // how long one waits for a job before asking anew
	jobProgress        = natsbridge.JobWait / 4
	jobRetry           = 10 * time.Second
	declareAgain       = 10 * time.Minute
	copyPatience       = 30 * time.Second
	memberHasTime      = 30 * time.Second
	memberGrace        = 2 * time.Second // for those who answer after the first that has something
	fleetStall         = 60 * time.Second
	memberMissPatience = 200 * time.Millisecond
)

// CheckFleet says what is wrong with a group that a request will name. It needs no
// node.
func CheckFleet(f FleetRequest) error {
	switch {
	case f.Group == "" && (len(f.URLs) > 0 || f.Creds != "" || f.NKey != "" || f.CA != "" || f.Inbox != "" || len(f.Members) > 0 || f.Copies != 0 || f.TTL != 0 || f.Replicas != 0):
		return badRequest("--nats and what belongs to it go with --group: members of a group share the work")
	case f.Group == "":
		return nil
	case len(f.URLs) == 0:
		return badRequest("--group goes with --nats: its members meet at a NATS server")
	case f.Copies < 0 || f.Copies > maxCopies:
		return badRequest("--copies %d: want 1 to %d", f.Copies, maxCopies)
	case f.Replicas < 0 || f.Replicas > 5:
		return badRequest("--replicas %d: want 1 to 5", f.Replicas)
	case f.TTL != 0 && (time.Duration(f.TTL) < minTTL || time.Duration(f.TTL) > maxTTL):
		return badRequest("--ttl %s: want %s to %s", time.Duration(f.TTL), minTTL, maxTTL)
	}
	if err := natsbridge.ValidGroup(f.Group); err != nil {
		return badRequest("%w", err)
	}
	for _, m := range f.Members {
		if _, err := peer.Decode(m); err != nil {
			return badRequest("--member %.80q: want the peer id of a node, as aml status shows it", m)
		}
	}
	return CheckNATS(f.NATSServer, "")
}

// fleet is this node in its group.
type fleet struct {
	n       *Node
	net     *network
	req     FleetRequest
	self    string // the peer id of this node
	ttl     time.Duration
	jobIdle time.Duration
	emit    func(any)
	workers map[channel.ID]*mirroring // fixed before it runs

	soon  chan struct{} // a beat is wanted before it is due
	dials sync.WaitGroup
	fewer sync.Once // it was said which streams have fewer replicas

	mu      sync.Mutex // guards what follows; held for memory work alone
	members *mirror.Members
	clock   *mirror.Clock // by which others are dead
	settled bool          // others had the time to be heard
	left    bool          // it has said that it ends
	last    int64         // when the last beat was said
	got     uint64        // how often something was got
	live    []mirror.Beat
	sharers map[channel.ID][]string   // of live and this one those that mirror a channel, as far as that was asked
	peers   map[string]*exchange.Peer // of everybody known: their streams stay open
	dialing map[string]bool
	jobs    *natsbridge.Jobs // nil while NATS does not answer
	refuses bool             // the queue took no job since it was last found there
	said    string           // the failure that was told last, empty once it works
	woken   time.Time
	waking  *time.Timer
}

func (n *Node) newFleet(net *network, req FleetRequest, emit func(any)) *fleet {
	if req.Copies == 0 {
		req.Copies = fleetCopies
	}
	if req.TTL == 0 {
		req.TTL = Duration(fleetTTL)
	}
	if req.Replicas == 0 {
		req.Replicas = 1
	}
	allow := req.Members
	if len(allow) > 0 {
		allow = append(slices.Clone(allow), net.host.ID().String())
	}
	return &fleet{
		n: n, net: net, req: req, self: net.host.ID().String(), ttl: time.Duration(req.TTL), jobIdle: jobIdle, emit: emit,
		workers: map[channel.ID]*mirroring{}, soon: make(chan struct{}, 1),
		members: mirror.NewMembers(time.Duration(req.TTL), allow...), clock: mirror.NewClock(pulseOf(time.Duration(req.TTL))),
		peers: map[string]*exchange.Peer{}, dialing: map[string]bool{},
	}
}

// name tells it from other groups of this node.
func (f *fleet) name() string { return networkOf(f.req.NATSServer) + " " + f.req.Group }

// run is a member until ctx ends. Before it was connected once it returns what trying
// again cannot help; then it tries again whatever happens.
func (f *fleet) run(ctx context.Context) error {
	defer f.close()
	server := natsbridge.Server{URLs: f.req.URLs, Creds: f.req.Creds, NKey: f.req.NKey, CA: f.req.CA, Inbox: f.req.Inbox}
	for attempts, once := 0, false; ; attempts++ {
		began := time.Now()
		ready, err := f.connect(ctx, server)
		if ctx.Err() != nil {
			return nil
		}
		if once = once || ready; !once && natsbridge.Hopeless(err) {
			if errors.Is(err, natsbridge.ErrConfig) {
				err = badRequest("%w", err)
			}
			return err
		}
		if ready && time.Since(began) > time.Minute {
			attempts = 0
		}
		f.fail(err)
		if pause(ctx, natsbridge.Backoff(attempts)) != nil {
			return nil
		}
	}
}

// fail tells of a failure, unless it was the last that was told.
func (f *fleet) fail(err error) {
	if err == nil {
		return
	}
	text := "fleet: " + err.Error()
	f.mu.Lock()
	again := f.said == text
	f.said = text
	f.mu.Unlock()
	if !again {
		f.emit(ErrorEvent{Event: "error", Message: text, Retry: true})
	}
}

// fine says that what failed works: it is told when it fails anew.
func (f *fleet) fine() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = ""
}

// connect is one connection from its beginning to its end.
func (f *fleet) connect(ctx context.Context, server natsbridge.Server) (ready bool, err error) {
	conn, err := natsbridge.Dial(ctx, server, networkOf(f.req.NATSServer))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	jobs, err := conn.Jobs(ctx, f.req.Replicas)
	if err != nil {
		return false, err
	}
	f.fine()
	f.fewer.Do(func() {
		for _, text := range jobs.Fewer(f.req.Replicas) {
			f.emit(WarningEvent{Event: "warning", Message: "fleet: " + text})
		}
	})
	group, err := conn.Group(f.req.Group)
	if err != nil {
		return false, err
	}
	defer group.Close()
	left := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(left)
		f.leave(conn, group) // others need not wait to find out
		conn.Close()         // whoever waits for a job waits no longer
	})()
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	parts, working := errgroup.WithContext(working)
	f.answers(jobs)
	defer f.answers(nil)
	f.changed() // what was asked for may be lost with the streams
	parts.Go(func() error {
		group.Hear(working.Done(), func(data []byte) { f.hear(working, data) })
		return nil
	})
	parts.Go(func() error { return f.beat(working, conn, group) })
	parts.Go(func() error { return f.pulse(working, conn) })
	for _, m := range f.workers {
		parts.Go(func() error { return f.work(working, m) })
	}
	err = parts.Wait()
	if ctx.Err() != nil {
		<-left
	}
	return true, err
}

// leave says that this member ends, in order.
func (f *fleet) leave(conn *natsbridge.Conn, group *natsbridge.Group) {
	f.mu.Lock()
	f.left = true
	f.mu.Unlock()
	_ = f.say(group, true)
	conn.Flush()
}

// close waits for what still runs, and lets go of the streams to members.
func (f *fleet) close() {
	f.dials.Wait()
	f.mu.Lock()
	if f.waking != nil {
		f.waking.Stop()
	}
	defer f.mu.Unlock()
	for _, p := range f.peers {
		_ = p.Close()
	}
	f.peers = map[string]*exchange.Peer{}
}

// beat says that this member lives.
func (f *fleet) beat(ctx context.Context, conn *natsbridge.Conn, group *natsbridge.Group) error {
	tick := time.NewTicker(f.ttl / beatsPerTTL)
	defer tick.Stop()
	for first := true; ; first = false {
		if first || conn.Connected() {
			if err := f.say(group, false); err != nil {
				f.fail(err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.soon:
			if pause(ctx, newsPause) != nil {
				return ctx.Err()
			}
		case <-tick.C:
		}
	}
}

// say says a beat.
func (f *fleet) say(group *natsbridge.Group, leaving bool) error {
	b := mirror.Beat{Group: f.req.Group, Peer: f.self, Leaving: leaving}
	for _, a := range f.net.addrs() {
		if len(b.Addrs) < mirror.MaxAddrs {
			b.Addrs = append(b.Addrs, a)
		}
	}
	for id := range f.workers {
		b.Channels = append(b.Channels, id.String())
	}
	slices.Sort(b.Channels)
	f.mu.Lock()
	if f.left && !leaving {
		f.mu.Unlock()
		return nil
	}
	f.last = max(time.Now().UnixMilli(), f.last+1)
	b.At, b.News = f.last, f.got
	f.mu.Unlock()
	data, err := mirror.Seal(b, f.n.identity.Sign)
	if err != nil {
		return err
	}
	return group.Say(data)
}

// beatSoon has a beat said before it is due.
func (f *fleet) beatSoon() {
	select {
	case f.soon <- struct{}{}:
	default: // one is to be said already
	}
}

// jobKind is the kind of the jobs of a channel in this group: who does not mirror it
// is given none of them.
func (f *fleet) jobKind(id channel.ID) string {
	sum := sha256.Sum256([]byte("aml-mirror-job-v1\n" + f.req.Group + "\n" + id.String()))
	return "m-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
