package gossip

import (
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

const retellAfter = 5 * time.Second

// retell passes on heads that sync brought: neighbours that are in nobody
// else's reach hear of them now, and not when they next compare notes. A head
// alone is the same message whoever sends it, so it spreads once. What is not
// fresh is not told, and no channel more often than every retellAfter: what
// comes sooner is told then.
func (g *Gossip) retell(in *interest, heads []feed.Outcome, envelopes [][]byte) {
	var fresh [][]byte
	for i, o := range heads {
		if o.Relay() && g.fresh(o.Head) {
			fresh = append(fresh, envelopes[i])
		}
	}
	if len(fresh) == 0 {
		return
	}
	in.mu.Lock()
	wait := retellAfter - time.Since(in.retold)
	if wait <= 0 {
		in.retold = time.Now()
	} else if !in.retelling {
		in.retelling = true
		time.AfterFunc(wait, func() { g.start(func() { g.retellNewest(in) }) })
	}
	in.mu.Unlock()
	if wait <= 0 {
		g.tell(in, fresh)
	}
}

// retellNewest passes on the heads that the Ledger has now.
func (g *Gossip) retellNewest(in *interest) {
	in.mu.Lock()
	in.retelling, in.retold = false, time.Now()
	in.mu.Unlock()
	if g.interest(in.target) != in {
		return // it ended meanwhile
	}
	ctx, cancel := g.short()
	defer cancel()
	heads, err := g.cfg.Ledger.Heads(ctx, in.channel)
	if err != nil {
		return // the next session tells
	}
	var fresh [][]byte
	for _, e := range heads {
		if it, err := channel.DecodeEnvelope(e); err == nil {
			if head, err := channel.OpenHead(it); err == nil && g.fresh(&head) {
				fresh = append(fresh, e)
			}
		}
	}
	g.tell(in, fresh)
}

func (g *Gossip) tell(in *interest, heads [][]byte) {
	for _, e := range heads[:min(len(heads), MaxBundle)] {
		g.background(in.channel, e)
	}
}

func (g *Gossip) fresh(head *channel.Head) bool {
	return head != nil && head.Expires > channel.TimeOf(g.cfg.Now())
}
