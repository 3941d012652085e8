package diskstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// A disk without room is asked again after this time, and after twice as long
// each time that there is none, up to a minute.
const (
	firstProbe   = time.Second
	longestProbe = time.Minute
)

// probeRoom is how many bytes beyond the floor must be free for a disk to count
// as having room again: a few blobs, so that the store does not turn to and fro.
const probeRoom = 4 * blobnet.MaxBlobSize

// fullness says whether the disk is full. Guarded by Store.mu.
type fullness struct {
	reason error         // why the store is serve-only; nil if it is not
	probe  time.Time     // not before then is the disk tried again
	wait   time.Duration // between tries
}

// roomMade has the disk tried again by whoever comes next. Called with mu held.
func (f *fullness) roomMade() { f.probe, f.wait = time.Time{}, firstProbe }

// due reports whether the disk may be tried now; if so it is the caller's turn
// alone until wait is over. A clock that was set back delays nothing by more
// than one wait. Called with mu held.
func (f *fullness) due(now time.Time) bool {
	if now.Before(f.probe) && f.probe.Sub(now) <= f.wait {
		return false
	}
	f.probe = now.Add(f.wait)
	return true
}

// noRoom reports whether err says that the disk, not the quota, is full.
func noRoom(err error) bool { return errors.Is(err, errFloor) || disk.IsFull(err) || isFull(err) }

// try says in which capacity a Put came to the disk.
type try uint8

const (
	none    try = iota // it did not
	regular            // the disk was not known to be full
	probing            // it was, and this Put finds out whether it still is
)

// admit refuses a Put at once while the disk is known to be full.
func (s *Store) admit() (try, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full.reason == nil {
		return regular, nil
	}
	if s.full.due(s.cfg.Now()) {
		return probing, nil
	}
	return none, fmt.Errorf("%w: %w", errServeOnly, s.full.reason)
}

// errServeOnly: the disk was not asked.
var errServeOnly = fmt.Errorf("%w: serve-only", blobnet.ErrFull)

// wrote notes how a Put ended, and tells of a turn. Of a full disk only one that
// was let through to find out says that it is not: others may have begun before.
func (s *Store) wrote(turn try, err error) {
	if turn == none {
		return
	}
	s.mu.Lock()
	turned := false
	switch {
	case err == nil && turn == probing && s.full.reason != nil:
		s.full, turned = fullness{}, true
	case err != nil && noRoom(err) && s.full.reason == nil:
		s.full = fullness{reason: err, wait: firstProbe, probe: s.cfg.Now().Add(firstProbe)}
		turned = true
	case err != nil && turn == probing && noRoom(err):
		s.full.wait = min(max(2*s.full.wait, firstProbe), longestProbe)
		s.full.probe = s.cfg.Now().Add(s.full.wait)
	}
	s.mu.Unlock()
	switch {
	case turned && err == nil:
		s.tell(Event{Kind: EventWritable})
	case turned:
		s.tell(Event{Kind: EventServeOnly, Err: err})
	}
}

// lookForRoom makes the store serve-only from its start where no Put would find
// room. The first one that comes tries the disk nevertheless.
func (s *Store) lookForRoom() {
	s.mu.Lock()
	floor := max(0, s.limits.MinFree)
	s.mu.Unlock()
	free, err := s.freeSpace()
	if err != nil || free > floor {
		return // a Put will meet the error
	}
	s.wrote(regular, fmt.Errorf("%w: the disk has %d bytes free, %d are to stay so", errFloor, free, floor))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full.roomMade()
}

// ServeOnly reports whether new blobs are refused because the disk is full, or
// its free space at the floor. It looks at the disk again when that is due, so
// that a node which stores nothing while this is true finds out when there is
// room; it is cheap enough to be asked before each fetch.
func (s *Store) ServeOnly() bool {
	s.mu.Lock()
	serveOnly := s.full.reason != nil
	due := serveOnly && s.full.due(s.cfg.Now())
	floor := max(0, s.limits.MinFree)
	s.mu.Unlock()
	if !due {
		return serveOnly
	}
	free, err := s.freeSpace()
	if err != nil || free < floor+probeRoom {
		s.wrote(probing, errFloor) // longer until the next time
		return true
	}
	s.wrote(probing, nil)
	return false
}
