package fetch

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Swarm is the sources of one fetch, as one blobnet.Source: a local store and
// the peers that are asked for what it lacks. All methods may be called from many goroutines at once.
type Swarm struct {
	cfg     Config
	memory  *semaphore.Weighted // bytes that Eaches may still hold
	buffers sync.Pool           // of *[]byte

	mu      sync.Mutex // guards what follows; never held across I/O
	members map[string]*member
	dropped map[string]bool // names of peers that misbehaved
	flights map[blobnet.ID]*flight
	waiting list.List // of *flight that want a member, the first wanted first
	free    []*member // reused by schedule
	number  uint64    // of flights ever begun
	added   uint64    // of members ever added
	size    int       // bytes that the next blob probably has
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
	// maxDropped is how many misbehaving peers are remembered.
	maxDropped = 4096
)

// New returns a Swarm without peers.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Swarm{
		cfg:     cfg,
		memory:  semaphore.NewWeighted(int64(cfg.MaxOutstanding)),
		members: make(map[string]*member),
		dropped: make(map[string]bool),
		flights: make(map[blobnet.ID]*flight),
		size:    firstSize,
	}, nil
}

// Add lets p be asked. A peer of the same name that is there already stays,
// and one that was dropped for misbehaviour is not taken again. A Swarm asks
// 256 peers: the 257th takes the place of one that only fails, or else of the
// one that has been there longest and given nothing; if all have given
// something or are being asked, it is not taken. The caller keeps p and closes it, if it has to
// be, after Remove.
func (s *Swarm) Add(p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := p.Name()
	if s.members[name] != nil || s.dropped[name] {
		return
	}
	if len(s.members) >= maxMembers && !s.makeRoom() {
		return
	}
	m := newMember(p, name, s.cfg.Window)
	m.number = s.added
	s.added++
	s.members[name] = m
	s.schedule(time.Now(), false)
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
	delete(s.members, worst.name)
	worst.leave()
	return true
}

// Remove lets the peer of that name not be asked any more; what it was asked
// for is asked of others.
func (s *Swarm) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.members[name]; m != nil {
		delete(s.members, name)
		m.leave()
	}
}

// Peers returns the names of those that are asked, sorted.
func (s *Swarm) Peers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.members))
}

// expected is how many bytes the next blob probably has.
func (s *Swarm) expected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
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
