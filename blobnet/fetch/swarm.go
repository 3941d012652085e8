package fetch

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Swarm is the sources of one fetch, as one blobnet.Source: a local store and
// the peers that are asked for what it lacks. All methods may be called from many goroutines at once.
type Swarm struct {
	cfg     Config
	buffers sync.Pool // of *[]byte

	mu      sync.Mutex // guards what follows; never held across I/O
	members map[string]*member
	slots   [maxMembers]*member
	taken   mask   // the slots in use
	added   uint64 // members ever added
	flights map[flightID]*flight
	queues  [blobnet.Classes]queue
	local   []*flight // in the store, and wait for memory, the first wanted first
	reading int       // that are read from the store for an Each
	asking  []*flight // that a member is asked for
	number  uint64    // flights ever begun
	size    int       // bytes that the next blob probably has
	held    int64     // bytes that flights hold: of these, what the Budget counts
	most    int64     // bytes that they may hold, as far as Eaches want them
	shuffle bool      // wants are ordered as the seed says, not as they came
	rivalry uint64    // tells which sets of rivals differ
	walks   map[*poller]struct{}
	grace   time.Time    // walks began a moment before
	said    time.Time    // when a peer last said what it has or has not
	news    []blobnet.ID // that were stored and not told yet
	tell    time.Time    // when they are to be

	checks  checks // flights by when it is time to give up
	timer   *time.Timer
	alarm   time.Time // when timer fires; zero if it does not
	raced   time.Time // when race was last gone through
	counts  map[string]*Counts
	waste   waste
	landing recent           // stored a moment ago
	liars   map[string]error // by name, what peers did that misbehaved
}

var _ interface {
	blobnet.Source
	blobnet.Ranger
} = (*Swarm)(nil)

const (
	// firstSize is the size expected of blobs before any is seen: a sealed
	// chunk of 1 MiB.
	firstSize = 1<<20 + 64
	// leastSize bounds how many small blobs fill a window, as the next may
	// be large.
	leastSize = blobnet.MaxBlobSize / 8
)

// New returns a Swarm without peers.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Swarm{
		cfg:     cfg,
		members: make(map[string]*member),
		flights: make(map[flightID]*flight),
		walks:   make(map[*poller]struct{}),
		counts:  make(map[string]*Counts),
		size:    firstSize,
		most:    int64(cfg.LeastOutstanding),
	}, nil
}

// Add lets p be asked. A peer of the same name that is there already stays,
// and one that is banned is not taken. A Swarm asks
// 256 peers: the 257th takes the place of one that only fails, or else of the
// one that has been there longest and given nothing; if all have given
// something or are being asked, it is not taken. The caller keeps p and closes it, if it has to
// be, after Remove.
func (s *Swarm) Add(p Peer) {
	name := p.Name()
	banned := s.cfg.Bans.Banned(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if banned {
		s.lied(name, errBanned)
		return
	}
	if s.members[name] != nil {
		return
	}
	if len(s.members) >= maxMembers && !s.makeRoom() {
		return
	}
	m := newMember(p, name, s.cfg.Window)
	m.number = s.added
	s.added++
	for m.slot = 0; s.taken.has(m.slot); m.slot++ {
	}
	s.taken.set(m.slot)
	s.slots[m.slot] = m
	s.members[name] = m
	now := time.Now()
	s.arrived(m, now)
	s.reorder()
	s.pump(now)
	for w := range s.walks {
		w.kick()
	}
}

// arrived makes every flight know what m cannot give. s.mu is held.
func (s *Swarm) arrived(m *member, now time.Time) {
	for _, f := range s.flights {
		if f.tried[m.name] != nil {
			f.triedBy.set(m.slot)
		}
		if !m.gives(f, now) {
			f.barred.set(m.slot)
			s.fix(f)
		}
	}
}

// makeRoom lets the member go that is missed least, or reports that all give
// what they are asked for. s.mu is held.
func (s *Swarm) makeRoom() bool {
	var worst *member
	for _, m := range s.members {
		if worst == nil || m.worse(worst) {
			worst = m
		}
	}
	if worst.rank() == stays {
		return false
	}
	s.part(worst)
	return true
}

// Remove lets the peer of that name not be asked any more; what it was asked
// for is asked of others.
func (s *Swarm) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[name]; m != nil {
		s.part(m)
		s.reorder()
	}
}

// part takes m out of the swarm. Its slot is free at once: no flight knows it
// any more. s.mu is held.
func (s *Swarm) part(m *member) {
	delete(s.members, m.name)
	s.slots[m.slot] = nil
	s.taken.clear(m.slot)
	m.gone()
	for _, f := range s.flights {
		f.forget(m.slot)
		if !f.queued {
			s.fix(f)
		}
	}
	for i := range s.queues {
		s.queues[i].rebuild(func(n *node) (key, mask) { return s.place(n.f) })
	}
}

// Peers returns the names of those that are asked, sorted.
func (s *Swarm) Peers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.members))
}

// expected is how many bytes w's blob probably has. s.mu is held.
func (s *Swarm) expected(w *Want) int {
	if n := w.size(); n > 0 {
		return n
	}
	return s.size
}

// learn corrects the expectation by a blob of n bytes: up at once, since
// memory depends on it, and down slowly. s.mu is held.
func (s *Swarm) learn(n int) {
	if n >= s.size {
		s.size = n
	} else {
		s.size = max(leastSize, s.size-(s.size-n)/8)
	}
}

func (s *Swarm) event(ev Event) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(ev)
	}
}

func (s *Swarm) getBuffer() []byte {
	if p, ok := s.buffers.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return nil
}

func (s *Swarm) putBuffer(b []byte) {
	if cap(b) > 0 {
		s.buffers.Put(&b)
	}
}
