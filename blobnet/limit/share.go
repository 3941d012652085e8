package limit

import (
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Rank says whose downloads come first.
type Rank int8

// The ranks. The zero value is the middle one.
const (
	Low    Rank = -1
	Normal Rank = 0
	High   Rank = 1
)

const (
	// ahead is how long those of lower rank stand back after one of a higher
	// rank has been granted something. One that waits for a slow peer alone
	// leaves the line to others soon.
	ahead = time.Second
	// askAgain is what those who stand back are told.
	askAgain = 250 * time.Millisecond
)

// Line is where shares of different rank stand. Its methods may be called from
// many goroutines at once; none of them blocks. The zero Line is ready.
type Line struct {
	mu      sync.Mutex
	granted [3]time.Time // guarded by mu: by rank
}

// behind returns how long rank stands back at now.
func (l *Line) behind(rank Rank, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r := min(max(rank, Low), High) + 1; r <= High; r++ {
		if at := l.granted[r-Low]; !at.IsZero() && now.Sub(at) < ahead {
			return askAgain
		}
	}
	return 0
}

func (l *Line) grant(rank Rank, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted[min(max(rank, Low), High)-Low] = now
}

// Share is a part of what one Download grants: of a rank, and within limits of
// its own. It is a fetch.Limiter; none of its methods blocks.
type Share struct {
	all  *Download
	line *Line
	rank Rank

	mu  sync.Mutex // from asking own whether it has room until it has counted
	own *Download
}

// NewShare returns a share of all that keeps to cfg as well, and stands at rank
// in line.
func NewShare(all *Download, line *Line, rank Rank, cfg Config) *Share {
	return &Share{all: all, line: line, rank: rank, own: NewDownload(cfg)}
}

// Take is Download.Take. Nothing is counted anywhere unless all grant it.
func (s *Share) Take(peer string, class blobnet.Class, n int) time.Duration {
	if n <= 0 {
		return 0
	}
	now := time.Now()
	if wait := s.line.behind(s.rank, now); wait > 0 {
		return wait
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.own.wait(peer, class); wait > 0 {
		return wait
	}
	if wait := s.all.Take(peer, class, n); wait > 0 {
		return wait
	}
	s.own.Take(peer, class, n) // it has said that there is room
	s.line.grant(s.rank, now)
	return 0
}

// wait returns how long until Take would grant something, 0 if now, and counts
// nothing.
func (d *Download) wait(peer string, class blobnet.Class) time.Duration {
	class = min(class, blobnet.Classes-1)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.update(now)
	wait := max(d.classes[class].wait(now), d.peerWait(peer, now), d.total.wait(now))
	for c := range class {
		wait = max(wait, d.hungry[c].Sub(now))
	}
	return min(wait, maxWait)
}
