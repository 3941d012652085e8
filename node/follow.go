package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
)

// follows are the subscriptions that a running node goes on with.
type follows struct {
	mu      sync.Mutex // guards what follows; held for memory work alone
	ctx     context.Context
	group   *errgroup.Group
	running map[string]*follower // by subscription id
}

type follower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// open lets followers start. They end with ctx, and group waits for them.
func (f *follows) open(ctx context.Context, group *errgroup.Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx, f.group, f.running = ctx, group, map[string]*follower{}
}

// start runs do under the subscription's id unless it runs already.
func (f *follows) start(id string, do func(context.Context)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[id] != nil || f.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	this := &follower{cancel: cancel, done: make(chan struct{})}
	f.running[id] = this
	f.group.Go(func() error {
		defer close(this.done)
		defer cancel()
		do(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.running[id] == this {
			delete(f.running, id)
		}
		return nil
	})
}

// stop ends a follower, waits for it, and reports whether there was one.
func (f *follows) stop(id string) bool {
	f.mu.Lock()
	this := f.running[id]
	f.mu.Unlock()
	if this == nil {
		return false
	}
	this.cancel()
	<-this.done
	return true
}

// names returns the ids of the subscriptions that run.
func (f *follows) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.running {
		ids = append(ids, id)
	}
	return ids
}

// resume starts every subscription that the catalogue remembers.
func (n *Node) resume(ctx context.Context) error {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return fmt.Errorf("going on with subscriptions: %w", err)
	}
	for _, sub := range subs {
		if err := n.startFollow(sub); err != nil {
			n.bus.send(sub.ID, ErrorEvent{Event: "error", Message: err.Error()})
		}
	}
	return nil
}

// startFollow follows a subscription until the node ends or it is stopped.
func (n *Node) startFollow(sub catalog.Subscription) error {
	emit := func(e any) { n.bus.send(sub.ID, e) }
	if sub.Topic != "" {
		n.follows.start(sub.ID, func(ctx context.Context) { n.followTopic(ctx, sub, emit) })
		return nil
	}
	if err := n.net.gossip.Follow(sub.Channel); err != nil {
		return fmt.Errorf("following %s: %w", targetOf(sub), err)
	}
	n.follows.start(sub.ID, func(ctx context.Context) { n.followChannel(ctx, sub, sub.Channel, emit) })
	return nil
}

// Failures to write files are tried again after a pause that doubles.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// followChannel applies a channel's releases until ctx ends. What fails is told
// and tried again.
func (n *Node) followChannel(ctx context.Context, sub catalog.Subscription, id channel.ID, emit func(any)) {
	if err := n.holdEntries(ctx, id); err != nil && ctx.Err() == nil {
		n.log.Warn("announcing what is here already", "error", err)
	}
	retry := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := n.apply(ctx, sub, id, false, false, emit)
		if err == nil || canceled(ctx, err) {
			return
		}
		emit(ErrorEvent{Event: "error", Channel: id.String(), Message: err.Error(), Retry: true})
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		if pause(ctx, retry) != nil {
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

// topicPoll is how often a followed topic is looked through for channels that
// gossip and sync have found.
const topicPoll = time.Second

// followTopic follows the trusted channels of a topic as they are found.
func (n *Node) followTopic(ctx context.Context, sub catalog.Subscription, emit func(any)) {
	var group sync.WaitGroup
	defer group.Wait()
	if err := n.listen(ctx, sub); err != nil {
		emit(ErrorEvent{Event: "error", Message: err.Error()})
		return
	}
	group.Go(func() { n.lookUp(ctx, sub) })
	told, followed := map[channel.ID]bool{}, map[channel.ID]bool{}
	for ctx.Err() == nil {
		trusted, err := n.listed(ctx, sub, told, emit)
		if err != nil && ctx.Err() == nil {
			emit(ErrorEvent{Event: "error", Message: err.Error(), Retry: true})
		}
		for _, id := range trusted {
			if followed[id] {
				continue
			}
			followed[id] = true
			if err := n.followListed(ctx, id); err != nil {
				emit(ErrorEvent{Event: "error", Channel: id.String(), Message: err.Error()})
				continue
			}
			group.Go(func() { n.followChannel(ctx, sub, id, emit) })
		}
		_ = pause(ctx, topicPoll)
	}
}

// followListed goes from knowing a channel's heads to keeping its manifests.
func (n *Node) followListed(ctx context.Context, id channel.ID) error {
	if err := n.catalog.Expect(ctx, id, catalog.Followed); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	return nil
}

// apply writes a channel's releases out, with blobs from whoever has them,
// until ctx ends or, with once, all that is known is there. With stale, that of
// channels of kind update too while they are not fresh.
func (n *Node) apply(ctx context.Context, sub catalog.Subscription, id channel.ID, once, stale bool, emit func(any)) error {
	w, err := n.workOf(sub)
	if err != nil {
		return err
	}
	keep := n.cfg.KeepBlobs || w.policy.KeepBlobs
	sieve := n.sieve(keep)
	swarm, err := n.newSwarmWithin(w.share, sieve, 0, 0)
	if err != nil {
		return err
	}
	defer n.net.gather(ctx, swarm, func() []peer.ID { return n.net.gossip.Peers(id) }, tracker.Key(id.Discovery()))()
	s, err := subscriber.New(subscriber.Config{Ledger: n.catalog, Blobs: n.blobs, Place: sieve, Swarm: swarm, MinFree: n.cfg.MinFree, Sources: holders{n.net, id}, Sought: n.net.gossip.Heard, Member: n.member, Hooks: hooks{n}})
	if err != nil {
		return err
	}
	return s.Follow(ctx, subscriber.Follow{
		Subscription: sub.ID, Channel: id, Output: folder(sub, id), Once: once, Stale: stale,
		KeepBlobs: keep, Policy: w.policy, Title: func(ctx context.Context) string { return n.titleOf(ctx, id) }, Budget: &w.budget,
		Blind: sub.Topic == "" || slices.Contains(sub.Trust, id),
	}, func(e subscriber.Event) {
		switch e := e.(type) {
		case FileEvent:
			n.holdFile(ctx, e)
		case RemovedEvent:
			n.lookAgain()
		}
		emit(e)
	})
}
