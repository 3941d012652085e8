package gossip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/libp2p/go-libp2p/core/peer"
)

// errDeclined: the peer does not reconcile now.
var errDeclined = errors.New("peer declined to reconcile")

// reconcile finds which of the channels the peer has, in the same state or in
// another, by its own account.
func (p *puller) reconcile(all []reconcile.Channel) (same, differ []reconcile.Channel, err error) {
	var salt reconcile.Salt
	_, _ = rand.Read(salt.Asker[:]) // never fails
	if err := p.question(question{Salt: &salt.Asker, Ranges: []reconcile.Range{reconcile.First(len(all))}}); err != nil {
		return nil, nil, err
	}
	t, err := p.told()
	if err != nil {
		return nil, nil, fmt.Errorf("reconciling: %w", err)
	}
	if t.Salt == nil {
		if len(t.Ranges) > 0 {
			return nil, nil, lied("reconciliation without a salt")
		}
		return nil, nil, errDeclined
	}
	salt.Answerer = *t.Salt
	asker := reconcile.NewAsker(reconcile.NewSet(salt, all))
	for waiting := 0; ; waiting-- {
		if err := asker.Take(t.Ranges); err != nil {
			return nil, nil, lied("reconciling: %w", err)
		}
		for waiting < reconcileAhead {
			ranges := asker.Next()
			if ranges == nil {
				break
			}
			if err := p.question(question{Ranges: ranges}); err != nil {
				return nil, nil, err
			}
			waiting++
		}
		if waiting == 0 {
			break
		}
		if t, err = p.told(); err != nil {
			return nil, nil, fmt.Errorf("reconciling: %w", err)
		}
		if t.Salt != nil {
			return nil, nil, lied("reconciliation with another salt")
		}
	}
	pick := func(which []int) []reconcile.Channel {
		out := make([]reconcile.Channel, len(which))
		for i, at := range which {
			out[i] = all[at]
		}
		return out
	}
	return pick(asker.Same()), pick(asker.Differ()), nil
}

func (p *puller) question(q question) error {
	return p.ask(request{Kind: askReconcile, Question: &q})
}

// told reads one answer to a question.
func (p *puller) told() (told, error) {
	data, err := readFrame(p.in, maxFrame)
	if errors.Is(err, channel.ErrLimit) {
		return told{}, lied("%w", err)
	} else if errors.Is(err, io.EOF) {
		return told{}, io.ErrUnexpectedEOF
	} else if err != nil {
		return told{}, err
	}
	t, err := decodeTold(data)
	if err != nil {
		return told{}, lied("%w", err)
	}
	return t, nil
}

// narrow reconciles with a peer with whom a great many channels are due, and returns
// those that are to be compared one by one in this session. Of the others, either
// nobody has to hear anything, or they stay due.
func (g *Gossip) narrow(ctx context.Context, p peer.ID, pull *puller, due []channel.ID) ([]channel.ID, error) {
	later := func(ids []channel.ID) {
		for _, id := range ids {
			g.plan.want(p, target{channel: id}, 0, false)
		}
	}
	all, err := g.common(ctx)
	if err != nil {
		return nil, err
	}
	var same, differ []reconcile.Channel
	if len(all) > 0 {
		same, differ, err = pull.reconcile(all)
	}
	if len(all) == 0 || errors.Is(err, errDeclined) {
		later(due[MaxKeys:])
		return due[:MaxKeys], nil
	}
	if err != nil {
		return nil, err
	}
	asked := make(map[channel.ID]bool, len(due))
	for _, id := range due {
		asked[id] = true
	}
	done := make([]target, len(same))
	for i, c := range same {
		done[i] = target{channel: c.ID}
		if in := g.interest(done[i]); in != nil {
			behind := !c.Rooted || in.settled(g.cfg.SyncInterval)
			in.answers(p)
			if asked[c.ID] {
				g.event(Event{Kind: EventSynced, Peer: p, Channel: c.ID, Behind: behind})
			}
		}
		delete(asked, c.ID)
	}
	g.plan.met(p, done)
	ids := make([]channel.ID, len(differ))
	for i, c := range differ {
		ids[i] = c.ID
		delete(asked, c.ID)
	}
	for id := range asked { // it said nothing about them
		if in := g.interest(target{channel: id}); in != nil {
			in.forget(p)
		}
	}
	g.event(Event{Kind: EventReconciled, Peer: p, Accepted: len(differ)})
	now := ids[:min(len(ids), maxDiffering)]
	later(ids[len(now):])
	return now, nil
}

// settled puts the next session off, since nothing differed in this one, unless a head
// that both ends know names what both lack; it reports whether that is so.
func (in *interest) settled(interval time.Duration) (behind bool) {
	in.mu.Lock()
	behind = in.hunger > 0
	if !behind {
		in.nextSync = time.Now().Add(vary(interval))
	}
	in.mu.Unlock()
	if behind {
		in.hungers(true, false, interval)
	}
	return behind
}

// met forgets what is due with p, since it has just been compared.
func (pl *plan) met(p peer.ID, all []target) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if l := pl.lanes[p]; l != nil {
		for _, t := range all {
			delete(l.due, t)
		}
	}
}
