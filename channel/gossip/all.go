package gossip

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// othersWait is how much longer the others have when one peer has answered.
	othersWait = 2 * time.Second
	// turn is how long one peer that does not answer keeps the next from being
	// asked. Its own time goes on.
	turn = 250 * time.Millisecond
	// maxAsking is how many connected peers have their turn at once. They need no
	// dialling, so they may be many: whoever waits for an answer has a few seconds.
	maxAsking = 16
	// maxNeighbours is how many peers are asked that are only connected. Silent
	// ones cost whoever connects them nothing, so it is what can be asked in half
	// of the time that a user waits: 64 in a second.
	maxNeighbours = 128
)

// SyncAll compares notes about the channel with every follower that is known
// or can be found now, and returns how many answered. When one has, the others
// have 2 s more, and 2 s again after everything new that comes for a channel
// that is followed; so whoever stalls, or lies about how much is to come, holds
// up nobody, and who has news to bring is not cut off. The error is nil if one
// answered; else it is what went wrong last, or wraps ErrNoPeers if there was
// nobody to ask.
func (g *Gossip) SyncAll(ctx context.Context, id channel.ID) (answered int, err error) {
	who, err := g.SyncSome(ctx, id, 1, 0)
	return len(who), err
}

// SyncSome is SyncAll for who wants to hear several followers: once one has answered it
// waits up to rest until enough have, and then the 2 s of the others begin. It
// returns who answered.
func (g *Gossip) SyncSome(ctx context.Context, id channel.ID, enough int, rest time.Duration) ([]peer.ID, error) {
	a := asking{target: target{channel: id}, enough: enough, rest: rest, ask: func(ctx context.Context, p peer.ID) error { return g.Sync(ctx, id, p) }}
	return g.all(ctx, a)
}

// SyncTopic asks every peer that is known or can be found now which channels
// are listed on the topic, and returns how many answered. When one has, the
// others have 2 s more. What is listed is taken into the Ledger, also where Listen
// was not called. The error is as SyncAll's.
func (g *Gossip) SyncTopic(ctx context.Context, topic string) (answered int, err error) {
	return g.syncTopic(ctx, topic)
}

func (g *Gossip) syncTopic(ctx context.Context, topic string, also ...peer.ID) (answered int, err error) {
	t := target{topic: topic}
	who, err := g.all(ctx, asking{target: t, also: also, ask: func(ctx context.Context, p peer.ID) error {
		_, err := g.talk(ctx, p, []want{{target: t}})
		return err
	}})
	return len(who), err
}

// asking is one call of all.
type asking struct {
	target
	ask    func(context.Context, peer.ID) error
	also   []peer.ID
	enough int           // answers after which the others have othersWait; at least one
	rest   time.Duration // how long is waited for those after the first
}

// all calls ask for everybody known, for also, and for everybody found, none of whom
// wait for the others, some at once. It returns, with who answered, when all have
// answered or failed, or the time that the first answers leave them is over.
func (g *Gossip) all(outer context.Context, a asking) ([]peer.ID, error) {
	t := a.target
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	in := g.browsed(t)
	if in == nil {
		in = newInterest(t)
	}
	var mu sync.Mutex
	asked := make(map[peer.ID]bool)
	var answered []peer.ID
	last := error(ErrNoPeers)
	first, enough := make(chan struct{}), make(chan struct{}) // closed at the first answer, and when there are enough
	one := func(p peer.ID) {
		err := a.ask(ctx, p)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			last = err
			return
		}
		if answered = append(answered, p); len(answered) == 1 {
			close(first)
		}
		if len(answered) == max(a.enough, 1) {
			close(enough)
		}
	}
	var work sync.WaitGroup
	begin := func(p peer.ID) { // returns when the next may be asked
		mu.Lock()
		again := asked[p]
		asked[p] = true
		mu.Unlock()
		if again {
			return
		}
		done := make(chan struct{})
		work.Go(func() {
			defer close(done)
			one(p)
		})
		over := time.NewTimer(turn)
		defer over.Stop()
		select {
		case <-done:
		case <-over.C:
		}
	}
	for _, peers := range [][]peer.ID{g.followers(in), a.also} {
		slots := make(chan struct{}, maxAsking)
		work.Go(func() {
			for _, p := range peers {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				work.Go(func() {
					defer func() { <-slots }()
					begin(p)
				})
			}
		})
	}
	work.Go(func() { g.find(ctx, in, begin) })
	over := make(chan struct{})
	go func() {
		work.Wait()
		close(over)
	}()
	select {
	case <-first:
		rest := time.NewTimer(a.rest)
		defer rest.Stop()
		select {
		case <-enough:
		case <-rest.C:
		case <-over:
		}
		in.quiet(othersWait, over)
		cancel()
	case <-over:
	}
	<-over // soon, since ctx has ended
	if len(answered) > 0 {
		return answered, nil
	}
	if outer.Err() != nil {
		return nil, outer.Err()
	}
	name := "topic " + t.topic
	if t.topic == "" {
		name = "channel " + t.channel.Short()
	}
	return nil, fmt.Errorf("syncing %s: %w", name, last)
}

// quiet returns when nothing new has come for the interest for d, or at over.
func (in *interest) quiet(d time.Duration, over <-chan struct{}) {
	rest := time.NewTimer(d)
	defer rest.Stop()
	for {
		in.mu.Lock()
		progress := in.progress
		in.mu.Unlock()
		select {
		case <-progress:
			rest.Reset(d)
		case <-rest.C:
			return
		case <-over:
			return
		}
	}
}
