package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// TurnEvent ("turn") says that what a followed or own channel is worth has changed.
type TurnEvent struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	Address string `json:"address"`
	Turn    string `json:"turn"` // forked, root, revoked, stale or fresh
	Message string `json:"message"`
}

// turnCheck is how often the clock is held against heads that run out.
const turnCheck = 30 * time.Second

// turnPause is how long news gather: a release comes before the head that makes it
// fresh.
const turnPause = time.Second

// aboutTurns is what the turns of a channel are about.
func aboutTurns(id channel.ID) string { return "turns of " + id.String() }

// standing is what was last known of a channel, as far as turns are told of it.
type standing struct {
	fresh, forked bool
	root          uint64
	revoked       map[channel.PublicKey]bool
	until         time.Time // when it may become stale by itself; zero for never
}

func standingOf(info catalog.Info) standing {
	s := standing{fresh: info.Fresh, forked: info.Forked, root: info.Root.Version, revoked: map[channel.PublicKey]bool{}}
	for _, r := range info.Root.Revoked {
		s.revoked[r.Key] = true
	}
	if !info.Fresh {
		return s
	}
	s.until = firstEnd(info).Time()
	return s
}

// turns says what became of a channel.
func (s standing) turns(info catalog.Info) (out []TurnEvent) {
	tell := func(turn, format string, args ...any) {
		out = append(out, TurnEvent{Event: "turn", Channel: info.ID.String(), Address: address(info.ID), Turn: turn, Message: fmt.Sprintf(format, args...)})
	}
	now := standingOf(info)
	if now.root > s.root && s.root > 0 {
		tell("root", "its root has version %d", now.root)
	}
	for _, r := range info.Root.Revoked {
		if s.root > 0 && !s.revoked[r.Key] {
			tell("revoked", "its publisher's key %s is revoked after its release %d", r.Key, r.Seq)
		}
	}
	if now.forked && !s.forked {
		what := "a publisher's key has signed two histories"
		if info.RootFork {
			what = "its root keys have signed two histories"
		}
		tell("forked", "%s; see channel-show", what)
	}
	switch {
	case s.fresh && !now.fresh:
		tell("stale", "nothing in force says that what is here is the newest")
	case !s.fresh && now.fresh && s.root > 0:
		tell("fresh", "it is fresh again")
	}
	return out
}

// heard are the channels of which there is news.
type heard struct {
	mu   sync.Mutex // guards ids; held for memory work alone
	ids  map[channel.ID]bool
	news chan struct{} // holds one
}

func (h *heard) hear(id channel.ID, _ feed.Kind) {
	h.mu.Lock()
	h.ids[id] = true
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default: // there is news already
	}
}

func (h *heard) take() map[channel.ID]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.ids
	h.ids = map[channel.ID]bool{}
	return ids
}

// keepTellingTurns tells of forks, new roots, revoked keys, and of channels that
// become stale or fresh, until ctx ends. What was so when the node started is not
// told.
func (n *Node) keepTellingTurns(ctx context.Context) error {
	h := heard{ids: map[channel.ID]bool{}, news: make(chan struct{}, 1)}
	defer n.catalog.Watch(h.hear)()
	known := map[channel.ID]standing{}
	infos, err := n.catalog.Channels(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Warn("reading channels", "error", err)
	}
	for _, info := range infos {
		if info.Reason != catalog.Listed && info.HasRoot {
			known[info.ID] = standingOf(info)
		}
	}
	tick := time.NewTicker(turnCheck)
	defer tick.Stop()
	for {
		var look map[channel.ID]bool
		select {
		case <-ctx.Done():
			return nil
		case <-h.news:
			if pause(ctx, turnPause) != nil {
				return nil
			}
			look = h.take()
		case <-tick.C:
			look = map[channel.ID]bool{}
			for id, s := range known {
				if !s.until.IsZero() && !time.Now().Before(s.until) {
					look[id] = true
				}
			}
		}
		for id := range look {
			info, err := n.catalog.Channel(ctx, id)
			if err != nil || info.Reason == catalog.Listed || !info.HasRoot {
				continue // it is looked at with its next news
			}
			before := known[id]
			known[id] = standingOf(info)
			for _, e := range before.turns(info) {
				n.bus.send(aboutTurns(id), e)
			}
		}
	}
}
