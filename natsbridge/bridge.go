package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Bridge is one connection of a ledger with one NATS. New makes it and Run runs
// it, once.
type Bridge struct {
	cfg   Config
	names names
	moved *dirty
	mine  *recent[digest, channel.ID] // what of a channel this bridge has put there, or found to be the ledger's
	sure  stock                       // what lies in MANIFESTS, was looked at, and is what should

	mu      sync.Mutex // guards what follows; held for memory work alone
	bridged map[channel.ID]bool
	made    time.Time                                   // MANIFESTS, of which that is said
	read    map[channel.ID]bool                         // which were read from it as a whole since they are bridged
	late    map[channel.ID]bool                         // of which a head waits in HEADS for what it names
	told    map[channel.ID]map[channel.PublicKey]uint64 // up to which release events were sent
	said    string                                      // the last failure that was told
	junk    int                                         // that was not told yet
	junkAt  time.Time                                   // when some was told last
}

// New checks the configuration. It connects to nothing.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Submit && cfg.Server.Inbox != "" && !isInbox(cfg.Server.Inbox) {
		return nil, wrong("inbox %.64q: bridges answer on %s and what begins with %s. or %s_ alone", cfg.Server.Inbox, inboxes, inboxes, inboxes)
	}
	return &Bridge{
		cfg: cfg, names: newNames(cfg.Network), moved: newDirty(), mine: newRecent[digest, channel.ID](1 << 15),
		bridged: map[channel.ID]bool{}, read: map[channel.ID]bool{}, late: map[channel.ID]bool{}, told: map[channel.ID]map[channel.PublicKey]uint64{},
	}, nil
}

// Run bridges until ctx ends, and then returns nil after all its goroutines
// have. Before it was connected once, it returns what trying again cannot help
// (Hopeless says what); afterwards it tries
// again whatever happens, and says so in events.
func (b *Bridge) Run(ctx context.Context) error {
	defer b.cfg.Ledger.Watch(func(id channel.ID, _ feed.Kind) { b.moved.mark(id) })()
	for attempts, once := 0, false; ; attempts++ {
		began := time.Now()
		ready, err := b.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if once = once || ready; !once && Hopeless(err) {
			return err
		}
		if ready && time.Since(began) > longest { // it has worked
			attempts = 0
			b.fine()
		}
		b.fail(err)
		if rest(ctx, backoff(b.cfg.Retry, attempts, min(64*b.cfg.Retry, longest))) != nil {
			return nil
		}
	}
}

// fail tells of a failure, unless it was the last that was told.
func (b *Bridge) fail(err error) {
	if err == nil {
		return
	}
	if local := b.cfg.Server.Local; local != nil {
		if trouble := local.Trouble(); trouble != nil { // of which a client only sees silence
			err = trouble
		}
	}
	text := withoutPort(err.Error())
	b.mu.Lock()
	again := b.said == text
	b.said = text
	b.mu.Unlock()
	if !again {
		b.event(Event{Kind: EventFailed, Err: err})
	}
}

// fine ends a failure: the next one is told even if it is the same.
func (b *Bridge) fine() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = ""
}

// junkInterval is how often junk is told of, so that who sends it does not write
// the log.
const junkInterval = time.Second

// event tells of something. Junk is summed up.
func (b *Bridge) event(e Event) {
	if e.Kind == EventJunk {
		b.mu.Lock()
		b.junk += e.Count
		quiet := time.Since(b.junkAt) < junkInterval
		if e.Count = b.junk; !quiet {
			b.junk, b.junkAt = 0, time.Now()
		}
		b.mu.Unlock()
		if quiet {
			return
		}
	}
	if e.Server == "" {
		e.Server = b.cfg.Server.shown()
	}
	b.cfg.OnEvent(e)
}

// session is a connection with its streams.
type session struct {
	b         *Bridge
	c         *Conn
	manifests jetstream.Stream
	heads     jetstream.Stream
	shelf     Shelf            // nil if snapshots do not cross
	snapshots jetstream.Stream // nil, too, then
	stock     stock
	doubts    doubtful
	submitted map[channel.ID]*submitted // of the goroutine that sends
}

// connect is one connection from its beginning to its end. It reports whether
// the streams were there. A connection that breaks is mended below it; it ends
// with what that cannot mend, such as a stream that is gone.
func (b *Bridge) connect(ctx context.Context) (ready bool, err error) {
	c, err := dial(ctx, b.cfg.Server, b.cfg.Network, !b.cfg.Submit, b.event)
	if err != nil {
		return false, err
	}
	defer c.Close()
	defer func() {
		if !ready {
			err = c.why(err)
		}
	}()
	s := &session{b: b, c: c, submitted: map[channel.ID]*submitted{}}
	if b.cfg.Submit {
		return s.submit(ctx)
	}
	if s.manifests, err = ensure(ctx, c.js, b.names.manifests(b.cfg.Replicas), !b.cfg.ReadOnly); err != nil {
		return false, err
	}
	if s.heads, err = ensure(ctx, c.js, b.names.heads(b.cfg.Replicas), !b.cfg.ReadOnly); err != nil {
		return false, err
	}
	b.knows(s.manifests.CachedInfo().Created)
	if err := s.openSnapshots(ctx); err != nil {
		return false, err
	}
	if err := b.choose(ctx); err != nil {
		return false, err
	}
	b.event(Event{Kind: EventConnected})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.follow(ctx, s.manifests, s.takeManifests) })
	if s.snapshots != nil {
		group.Go(func() error { return s.follow(ctx, s.snapshots, s.takeSnapshots) })
	}
	group.Go(func() error { return s.follow(ctx, s.heads, s.takeHeads) })
	group.Go(func() error { return s.send(ctx, s.sendChannel) })
	group.Go(func() error { return s.repair(ctx) })
	if !b.cfg.ReadOnly {
		group.Go(func() error { return s.listen(ctx) })
	}
	return true, group.Wait()
}

// submit is connect for who only hands in: it needs no streams.
func (s *session) submit(ctx context.Context) (ready bool, err error) {
	if err := s.b.choose(ctx); err != nil {
		return false, err
	}
	s.b.event(Event{Kind: EventConnected})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.send(ctx, s.submitChannel) })
	group.Go(func() error { return s.repair(ctx) }) // channels that are bridged since
	return true, group.Wait()
}

// choose asks which channels are bridged, and has new ones looked at.
func (b *Bridge) choose(ctx context.Context) error {
	ids, err := b.cfg.Channels(ctx)
	if err != nil {
		return fmt.Errorf("choosing channels: %w", err)
	}
	next := make(map[channel.ID]bool, len(ids))
	for _, id := range ids {
		next[id] = true
		if b.seen(id) {
			continue
		}
		info, err := b.cfg.Ledger.Channel(ctx, id)
		if err == nil {
			b.look(info)
		} else if err = ignoreUnknown(err); err != nil {
			return fmt.Errorf("choosing channels: %w", err)
		}
	}
	b.mu.Lock()
	for id := range b.read {
		if !next[id] { // what comes from now on is not looked at
			delete(b.read, id)
			delete(b.late, id)
			b.sure.forget(id)
		}
	}
	b.bridged = next
	b.mu.Unlock()
	b.moved.mark(ids...)
	return nil
}

func (b *Bridge) bridges(id channel.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bridged[id]
}

// relist is every how many repairs the streams are listed anew: others may have
// taken something out.
const relist = 60

// repair looks, from time to time, for channels that are bridged since, and for
// those of which more lies in the stream than in the ledger.
func (s *session) repair(ctx context.Context) error {
	tick := time.NewTicker(s.b.cfg.RepairInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if n%relist == 0 {
			s.stock.forgetAll()
		}
		if !s.b.cfg.Submit {
			if err := s.guard(ctx); err != nil && ctx.Err() == nil {
				s.b.fail(err)
			}
		}
		if err := s.b.choose(ctx); err != nil { // it has all of them looked at
			s.b.fail(err)
			continue
		}
		s.b.mu.Lock()
		ids := make([]channel.ID, 0, len(s.b.bridged))
		for id := range s.b.bridged {
			ids = append(ids, id)
		}
		s.b.mu.Unlock()
		for _, id := range ids { // of which nothing is listed where nothing is read
			if err := s.catchUp(ctx, id); err != nil && !errors.Is(err, context.Canceled) {
				s.b.fail(err)
			}
		}
	}
}
