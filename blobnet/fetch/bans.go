package fetch

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// banTime is how long a peer that misbehaved is asked for nothing.
	banTime = time.Hour
	// maxBans is how many peers are remembered. Anybody may come under many
	// names; what matters is that one name is not asked for ever.
	maxBans = 4096
)

// Bans is which peers misbehaved, for all Swarms of a node that share it. A
// peer that sent wrong bytes once is remembered for an hour; one that does so
// again, or breaks its protocol, is banned for an hour. Slowness is no
// misbehaviour. The zero value has banned nobody. All methods may be called
// from many goroutines at once.
type Bans struct {
	mu    sync.Mutex // guards peers
	peers map[string]offence
}

type offence struct {
	banned bool
	until  time.Time // then it is forgotten
}

// Banned reports whether the peer of that name is banned now.
func (b *Bans) Banned(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.peers[name]
	return o.banned && time.Now().Before(o.until)
}

// Ban bans the peer of that name for an hour from now on.
func (b *Bans) Ban(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(name, offence{true, time.Now().Add(banTime)})
}

// Lift forgets what the peer of that name did.
func (b *Bans) Lift(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.peers, name)
}

// List returns the names of those banned now and when each ban ends.
func (b *Bans) List() map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]time.Time)
	for name, o := range b.peers {
		if o.banned && time.Now().Before(o.until) {
			out[name] = o.until
		}
	}
	return out
}

// strike takes note that a peer sent wrong bytes and reports whether that was
// once too often.
func (b *Bans) strike(name string) (banned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	o, ok := b.peers[name]
	again := ok && now.Before(o.until)
	b.note(name, offence{again, now.Add(banTime)})
	return again
}

// note remembers o; what is over, or else what would be over first, makes room.
// b.mu is held.
func (b *Bans) note(name string, o offence) {
	if b.peers == nil {
		b.peers = make(map[string]offence)
	}
	if _, there := b.peers[name]; !there && len(b.peers) >= maxBans {
		now := time.Now()
		maps.DeleteFunc(b.peers, func(_ string, o offence) bool { return !now.Before(o.until) })
		if len(b.peers) >= maxBans {
			names := slices.SortedFunc(maps.Keys(b.peers), func(x, y string) int { return b.peers[x].until.Compare(b.peers[y].until) })
			for _, name := range names[:maxBans/8] {
				delete(b.peers, name)
			}
		}
	}
	b.peers[name] = o
}
