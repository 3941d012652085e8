package gossip

import (
	"context"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/peer"
)

// target is what a session is about: a channel, or the listing of a topic.
type target struct {
	channel channel.ID
	topic   string
}

// room is the name of the gossip topic in which the target is spoken of.
func (t target) room() string {
	if t.topic != "" {
		return topicRoomName(t.topic)
	}
	return channelRoomName(t.channel)
}

// want is a target, and why.
type want struct {
	target
	knocked bool // the other end asked for it, so it need not be told to do the same
}

// plan decides when to talk with whom. Everything that wants to be compared
// with a peer is gathered, so that many channels become one session, and one
// peer is never in two sessions at once. Asking twice for the same is asking
// once.
type plan struct {
	conduct *conduct
	session func(context.Context, peer.ID, []want) // runs one session

	wake chan struct{} // holds at most one

	// again is how long after all that was due with a peer went into one session that
	// is done again; in between a session has at most MaxKeys.
	again time.Duration

	mu    sync.Mutex
	lanes map[peer.ID]*lane // guarded by mu
	busy  int               // sessions that run; guarded by mu
	runs  map[*visit]bool   // those that nobody has ended; guarded by mu
}

type lane struct {
	due  map[target]appointment
	busy bool
	rest time.Time // no session before
	many time.Time // when a session was last given more than MaxKeys
}

type appointment struct {
	at      time.Time
	knocked bool
}

func newPlan(c *conduct, session func(context.Context, peer.ID, []want)) *plan {
	return &plan{conduct: c, session: session, wake: make(chan struct{}, 1), lanes: make(map[peer.ID]*lane), runs: make(map[*visit]bool)}
}

// want asks for a session with p about t, not before delay has passed. A peer
// that misbehaved gets none.
func (pl *plan) want(p peer.ID, t target, delay time.Duration, knocked bool) {
	if pl.conduct.banned(p) {
		return
	}
	due := appointment{time.Now().Add(max(delay, pl.conduct.pause(p))), knocked}
	pl.mu.Lock()
	l := pl.lanes[p]
	if l == nil {
		l = &lane{due: make(map[target]appointment)}
		pl.lanes[p] = l
	}
	if old, ok := l.due[t]; ok {
		if old.at.Before(due.at) {
			due.at = old.at
		}
		due.knocked = due.knocked && old.knocked
		l.due[t] = due
	} else if len(l.due) < MaxTopicsPerPeer {
		l.due[t] = due
	}
	pl.mu.Unlock()
	pl.poke()
}

// drop forgets what is planned for t.
func (pl *plan) drop(t target) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, l := range pl.lanes {
		delete(l.due, t)
	}
}

func (pl *plan) poke() {
	select {
	case pl.wake <- struct{}{}:
	default:
	}
}

// run starts sessions as they become due, each in a goroutine that it gives
// to start, until ctx ends.
func (pl *plan) run(ctx context.Context, start func(func()) bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-pl.wake:
		}
		for {
			p, targets, wait := pl.next(time.Now())
			if targets == nil {
				timer.Reset(wait)
				break
			}
			v, ctx := newVisit(ctx)
			if !start(func() {
				defer pl.done(p, v)
				pl.begin(v)
				pl.session(ctx, p, targets)
			}) {
				v.end(nil)
				return // ctx is ending
			}
		}
	}
}

// next takes the peer that has waited longest, with all that is due for it, or
// says how long there is nothing to do.
func (pl *plan) next(now time.Time) (peer.ID, []want, time.Duration) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	const never = time.Hour
	var best peer.ID
	var first time.Time
	for p, l := range pl.lanes {
		if l.busy {
			continue
		}
		if len(l.due) == 0 {
			if !l.rest.After(now) && now.Sub(l.many) >= pl.again {
				delete(pl.lanes, p)
			}
			continue
		}
		for _, a := range l.due {
			due := a.at
			if due.Before(l.rest) {
				due = l.rest
			}
			if first.IsZero() || due.Before(first) {
				best, first = p, due
			}
		}
	}
	if first.IsZero() {
		return "", nil, never
	}
	if first.After(now) {
		return "", nil, first.Sub(now)
	}
	if pl.busy >= maxSessions {
		return "", nil, pl.makeRoom(now, never)
	}
	l := pl.lanes[best]
	many := l.tooMany(now) && now.Sub(l.many) >= pl.again
	if many {
		l.many = now
	}
	targets := make([]want, 0, min(len(l.due), MaxKeys))
	for t, a := range l.due {
		if !a.at.After(now) && (many && t.topic == "" || !many && len(targets) < MaxKeys) {
			targets = append(targets, want{t, a.knocked})
			delete(l.due, t)
		}
	}
	l.busy = true
	pl.busy++
	return best, targets, 0
}

// tooMany reports whether so many channels are due that they are reconciled before
// any is named.
func (l *lane) tooMany(now time.Time) bool {
	n := 0
	for t, a := range l.due {
		if t.topic == "" && !a.at.After(now) {
			n++
		}
	}
	return n > reconcileOver
}

func (pl *plan) done(p peer.ID, v *visit) {
	v.end(nil)
	pl.mu.Lock()
	delete(pl.runs, v)
	pl.busy--
	if l := pl.lanes[p]; l != nil {
		l.busy = false
		l.rest = time.Now().Add(restAfter)
	}
	pl.mu.Unlock()
	pl.poke()
}
