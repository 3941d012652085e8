package gossip

import (
	"sync"
	"time"
)

// What one source may have us judge: messages that turn out to be worth nothing
// to us, and any in topics' rooms, where keys cost nothing; at once, and then one
// in each judgeInterval. And how many messages of one room are judged at a time,
// in all and of one source.
const (
	judgeBurst    = 1024
	judgeInterval = time.Second / 16
	roomPlaces    = 256
	sourcePlaces  = roomPlaces / 4
	maxSpenders   = 4096 // sources that are remembered

	// validating is how many messages of one room pubsub lets us have in hand. It
	// loses those beyond without asking us, and then, for a minute, some of every
	// peer that shares an address with who sent them. So it is far more than we
	// judge: what is over the budget is out of hand at once.
	validating = 8 * roomPlaces
)

// budget keeps one source's flood from taking the time that others need: valid
// signatures and old messages cost nobody's score, but each costs us a look into
// the Ledger. What is over it is ignored unread; sync brings what was news.
type budget struct {
	now func() time.Time

	mu      sync.Mutex
	sources map[string]*spender // guarded by mu
	rooms   map[string]int      // messages that are being judged; guarded by mu
}

type spender struct {
	full time.Time      // when the bucket will be full again
	open map[string]int // by room: messages that are being judged
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, sources: make(map[string]*spender), rooms: make(map[string]int)}
}

// begin takes a token and a place in the room. It reports false, and takes
// nothing, where the source or the room has none left. Whoever got true calls end.
func (b *budget) begin(source, room string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	s := b.sources[source]
	if s == nil {
		if len(b.sources) >= maxSpenders {
			b.forget(now)
		}
		s = &spender{open: make(map[string]int)}
		b.sources[source] = s
	}
	s.settle(now)
	if b.rooms[room] >= roomPlaces || s.open[room] >= sourcePlaces || s.full.Sub(now) > (judgeBurst-1)*judgeInterval {
		return false
	}
	b.rooms[room]++
	s.open[room]++
	s.full = s.full.Add(judgeInterval)
	return true
}

// end gives back the place and, where the message was worth its token, the
// token.
func (b *budget) end(source, room string, worth bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rooms[room]--; b.rooms[room] == 0 {
		delete(b.rooms, room)
	}
	s := b.sources[source] // there: who has a message open is not forgotten
	if s.open[room]--; s.open[room] == 0 {
		delete(s.open, room)
	}
	if worth {
		s.full = s.full.Add(-judgeInterval)
	}
}

// settle keeps the time of a full bucket where it can be: a clock that was put
// back must not silence anybody.
func (s *spender) settle(now time.Time) {
	if s.full.Before(now) {
		s.full = now
	}
	if latest := now.Add(judgeBurst * judgeInterval); s.full.After(latest) {
		s.full = latest
	}
}

// prune forgets sources that have spent nothing lately.
func (b *budget) prune() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(b.now())
}

// forget makes room: sources whose bucket is full go, and if there is none, an
// arbitrary one, which is so given a new bucket. b.mu is held.
func (b *budget) forget(now time.Time) {
	for name, s := range b.sources {
		if len(s.open) == 0 && !s.full.After(now) {
			delete(b.sources, name)
		}
	}
	for name, s := range b.sources {
		if len(b.sources) < maxSpenders {
			return
		}
		if len(s.open) == 0 {
			delete(b.sources, name)
		}
	}
}
