package main

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/sim/ledger"
	"github.com/anonymous-media-library/aml/internal/sim/simnet"
	"github.com/libp2p/go-libp2p/core/peer"
)

// node is an honest node: the real gossip.Gossip on a simulated host.
type node struct {
	w      *world
	number int
	id     peer.ID
	follow []*author
	meter  meter

	mu     sync.Mutex // serialises starting and stopping
	known  *ledger.Ledger
	host   *simnet.Host   // nil while it is down
	gossip *gossip.Gossip // nil while it is down
	cancel context.CancelFunc
	ended  chan error
}

func nameOf(number int) peer.ID { return peer.ID(fmt.Sprintf("simulated-node-%05d", number)) }

// start brings the node up, with what it knew, or with nothing.
func (n *node) start(fresh bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host != nil {
		return nil
	}
	if n.known == nil || fresh {
		n.known = ledger.New(func(o feed.Outcome) { n.w.watch.changed(n, o) })
		n.w.watch.forgot(n)
	}
	host, err := n.w.net.Join(n.id, n.number, n.meter.sent)
	if err != nil {
		return err
	}
	g, err := gossip.New(gossip.Config{
		Host: host, Ledger: n.known, OnEvent: n.w.watch.event,
		Announce: func(_ context.Context, keys ...[32]byte) error {
			n.w.tracker.announce(host.Info(), keys...)
			return nil
		},
		Find: func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo] {
			return n.w.tracker.find(ctx, n.id, key)
		},
	})
	if err != nil {
		return err
	}
	for _, a := range n.follow {
		if err := g.Follow(a.ID); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.host, n.gossip, n.cancel, n.ended = host, g, cancel, make(chan error, 1)
	go func() { n.ended <- g.Run(ctx) }()
	n.w.watch.up(n)
	return nil
}

// stop takes the node down; if suddenly, its peers are not told.
func (n *node) stop(suddenly bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == nil {
		return nil
	}
	n.w.watch.down(n)
	if suddenly {
		n.host.Vanish()
	}
	n.cancel()
	err := <-n.ended
	_ = n.host.Close()
	n.host, n.gossip = nil, nil
	return err
}

// current is the running gossip and host, nil while the node is down.
func (n *node) current() (*gossip.Gossip, *simnet.Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gossip, n.host
}

// publish makes a release of the author's channel, as the node does: first
// into its own ledger, then to the others.
func (n *node) publish(a *author) error {
	g, _ := n.current()
	if g == nil {
		return fmt.Errorf("publishing on %s: it is down", n.id)
	}
	envelopes := a.next()
	outcomes, err := n.known.OfferAll(context.Background(), envelopes)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.Verdict != feed.Accepted {
			return fmt.Errorf("publishing on %s: %s: %w", n.id, o.Verdict, o.Err)
		}
	}
	n.w.watch.published(a)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return g.Publish(ctx, a.ID, envelopes...)
}

// churn is the life of a follower: it leaves now and then, half of the times
// without a word, and comes back after a minute or so, half of the times with
// nothing of what it knew.
func (n *node) churn(ctx context.Context) error {
	r := n.w.dice(n.number, 3)
	for n.w.o.Churn > 0 {
		if pause(ctx, time.Duration(r.ExpFloat64()*float64(time.Minute)/n.w.o.Churn)) != nil {
			return nil
		}
		if err := n.stop(r.IntN(2) == 0); err != nil {
			return err
		}
		gone := pause(ctx, time.Duration(r.ExpFloat64()*float64(time.Minute)))
		if err := n.start(r.IntN(2) == 0); err != nil || gone != nil {
			return err
		}
	}
	return nil
}

// career is the life of a publisher: it is up for a release and shortly before
// and after, and away for the rest.
func (n *node) career(ctx context.Context, a *author) error {
	r := n.w.dice(n.number, 4)
	slot := n.w.o.Publish / time.Duration(n.w.o.Releases)
	begin := time.Now()
	if err := n.stop(false); err != nil {
		return err
	}
	for i := range n.w.o.Releases {
		early := time.Duration(r.Int64N(int64(slot - 40*time.Second)))
		if err := pause(ctx, time.Until(begin.Add(time.Duration(i)*slot+early))); err != nil {
			return err
		}
		if err := n.start(false); err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Second); err != nil {
			return err
		}
		if err := n.publish(a); err != nil {
			return err
		}
		if err := pause(ctx, 10*time.Second); err != nil {
			return err
		}
		if err := n.stop(r.IntN(2) == 0); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return n.start(false)
}

// breaks ends a connection of the node now and then.
func (n *node) breaks(ctx context.Context) {
	r := n.w.dice(n.number, 5)
	for n.w.o.Breaks > 0 && pause(ctx, time.Duration(r.ExpFloat64()*float64(time.Minute)/n.w.o.Breaks)) == nil {
		if _, host := n.current(); host != nil {
			host.Break(r.IntN)
		}
	}
}
