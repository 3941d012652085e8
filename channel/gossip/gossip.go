package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Gossip is a node's part in the gossip and sync of channels. All methods are
// safe for concurrent use. What is followed and listened to is forgotten with
// the value; whoever keeps subscriptions says so again after a restart.
type Gossip struct {
	cfg     Config
	conduct *conduct
	plan    *plan
	filter  *subFilter
	news    *recent // what sync brought before gossip did
	claims  claims
	grafts  *grafts
	served  *served
	budget  *budget
	topics  *topicKeys

	reconciling reconciling

	started chan struct{} // closed when Run is ready
	stopped chan struct{} // closed when Run has ended

	opening sync.Mutex // serialises joining and leaving rooms; held across no I/O but pubsub's loop
	entered int        // rooms that we are in, and do not only speak in; guarded by opening

	mu        sync.Mutex
	ran       bool                 // Run was called; guarded by mu
	ctx       context.Context      // of Run; guarded by mu, and fixed once set
	mesh      *pubsub.PubSub       // guarded by mu until started is closed, then fixed
	interests map[target]*interest // guarded by mu
	lookups   map[target]*interest // topics that are looked up, and not listened to; guarded by mu
	rooms     map[string]*room     // guarded by mu; changed only under opening too

	work sync.WaitGroup // goroutines of Run
}

// New returns a Gossip that does nothing yet but can be told what to follow.
func New(cfg Config) (*Gossip, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gossip{
		cfg:       cfg,
		conduct:   newConduct(),
		filter:    newSubFilter(),
		news:      newRecent(),
		served:    newServed(),
		grafts:    newGrafts(),
		budget:    newBudget(cfg.Now),
		topics:    newTopicKeys(),
		started:   make(chan struct{}),
		stopped:   make(chan struct{}),
		interests: make(map[target]*interest),
		lookups:   make(map[target]*interest),
		rooms:     make(map[string]*room),
	}
	g.plan = newPlan(g.conduct, g.session)
	g.plan.again = cfg.SyncInterval / 2
	return g, nil
}

// Run takes part until ctx ends, and then returns nil after all its
// goroutines have. Gossipsub's own end when the host closes. Run can be called
// once.
func (g *Gossip) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.mu.Lock()
	if g.ran {
		g.mu.Unlock()
		return errors.New("gossip: Run called twice")
	}
	g.ran = true
	g.ctx = ctx
	g.mu.Unlock()
	defer close(g.stopped)
	defer g.work.Wait()
	defer cancel()

	g.cfg.Host.SetStreamHandler(SyncProtocol, g.handle) // before gossip brings the first who ask
	defer g.cfg.Host.RemoveStreamHandler(SyncProtocol)
	mesh, err := newMesh(ctx, g.cfg, g.filter, g.conduct, g.grafts)
	if err != nil {
		return err
	}
	defer g.cfg.Host.RemoveStreamHandler(meshProtocol)
	g.mu.Lock()
	g.mesh = mesh
	var wanted []*interest
	for _, in := range g.interests {
		wanted = append(wanted, in)
	}
	close(g.started) // under the lock, so that add sees either all of it or nothing
	g.mu.Unlock()

	for _, in := range wanted {
		if err := g.enter(in); err != nil && ctx.Err() == nil {
			return err
		}
	}
	g.start(func() { g.followGrafts(ctx) })
	g.start(func() { g.plan.run(ctx, g.start) })
	g.agenda(ctx)
	return nil
}

// start runs f in a goroutine that Run waits for. It reports false, and does
// not run it, where Run is not ready or is ending.
func (g *Gossip) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx == nil || g.ctx.Err() != nil {
		return false
	}
	g.work.Go(f)
	return true
}

// up waits until Run is ready, and returns its context.
func (g *Gossip) up(ctx context.Context) (context.Context, error) {
	select {
	case <-g.stopped:
		return nil, ErrStopped
	default:
	}
	select {
	case <-g.started:
		return g.ctx, nil
	case <-g.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running reports whether Run is ready and has not ended.
func (g *Gossip) running() bool {
	select {
	case <-g.started:
		return g.ctx.Err() == nil
	default:
		return false
	}
}

// Follow takes part in the channel: hears its gossip, passes it on, and keeps
// comparing notes with other followers, of which hints are some. It tells the
// Ledger to expect the channel. Following twice adds hints and asks everyone
// again. It may be called before Run.
func (g *Gossip) Follow(id channel.ID, hints ...peer.AddrInfo) error {
	ctx, cancel := g.short()
	defer cancel()
	if err := g.cfg.Ledger.Expect(ctx, id, catalog.Followed); err != nil {
		return fmt.Errorf("following channel %s: %w", id.Short(), err)
	}
	if err := g.add(target{channel: id}, hints); err != nil {
		return fmt.Errorf("following channel %s: %w", id.Short(), err)
	}
	return nil
}

// Unfollow ends what Follow began. The Ledger keeps what it has.
func (g *Gossip) Unfollow(id channel.ID) { g.remove(target{channel: id}) }

// Listen takes channels that are announced on the topic into the Ledger, as
// listed, up to MaxListed of them. The topic must be in normal form. It may be
// called before Run.
func (g *Gossip) Listen(topic string, hints ...peer.AddrInfo) error {
	if err := channel.ValidTopic(topic); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if err := g.add(target{topic: topic}, hints); err != nil {
		return fmt.Errorf("listening to topic %s: %w", topic, err)
	}
	return nil
}

// Unlisten ends what Listen began. The Ledger keeps what it has.
func (g *Gossip) Unlisten(topic string) { g.remove(target{topic: topic}) }

// Peers returns the followers of the channel that are connected now: who is in
// its gossip, and who answered for it.
func (g *Gossip) Peers(id channel.ID) []peer.ID {
	g.mu.Lock()
	in := g.interests[target{channel: id}]
	g.mu.Unlock()
	if in == nil {
		return nil
	}
	return g.followers(in)
}

// Heard reports whether somebody has answered for the channel since it was followed,
// with all that he was asked for.
func (g *Gossip) Heard(id channel.ID) bool {
	in := g.interest(target{channel: id})
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.heard
}

// short is a context for what must not take long although its caller gave
// none.
func (g *Gossip) short() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), dialLimit)
}

func (g *Gossip) connected(p peer.ID) bool {
	return g.cfg.Host.Network().Connectedness(p) == network.Connected
}

func (g *Gossip) event(e Event) { g.cfg.OnEvent(e) }
