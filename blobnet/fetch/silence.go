package fetch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Counter is a Peer that counts the bytes of blobs that come from it, as they
// come, also those of a blob that is not whole yet. Of another one the Swarm knows
// what came when a blob is whole.
type Counter interface {
	Came() int64
}

// Came changes whenever bytes of blobs come, and says whether more is waited for
// now: some peer owes a blob, or a blob is wanted and nobody can be asked for it.
// What waits for memory, the limiter or whoever takes the blobs is not waited for.
func (s *Swarm) Came() (bytes int64, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.counts {
		bytes += c.Useful + c.Duplicate
	}
	for _, m := range s.members {
		if c, ok := m.peer.(Counter); ok {
			bytes += c.Came()
		}
	}
	if len(s.asking) > 0 || len(s.flights) == 0 {
		return bytes, len(s.asking) > 0
	}
	for _, f := range s.flights {
		if f.lost.IsZero() {
			return bytes, false
		}
	}
	return bytes, true
}

// Brought is how many bytes of blobs have come, also of such that are not whole yet.
// It becomes less when those turn out to be in vain, and for a moment when one is whole.
func (s *Swarm) Brought() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now := s.waste.useful, time.Now()
	for _, f := range s.asking {
		most := int64(0) // asked of several, it is of use once
		for _, a := range f.asks {
			most = max(most, a.vain(now))
		}
		n += most
	}
	return n
}

// Answered reports whether since then a peer gave a blob, or said whether it has
// one. If none did, that nobody gives a blob says nothing about the blob: this
// node may reach nobody.
func (s *Swarm) Answered(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said.After(since) {
		return true
	}
	for _, m := range s.members {
		if m.good.After(since) {
			return true
		}
	}
	return false
}

// errSilent is what a peer has answered that was asked and says nothing.
var errSilent = errors.New("no answer yet")

// Nobody is the error of a fetch that was given up because nothing came for so
// long. It tells of the blob that was wanted first, or of none.
func (s *Swarm) Nobody(after time.Duration) *NotFoundError {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := &NotFoundError{After: after}
	var first *flight
	for _, f := range s.flights {
		if first == nil || f.number < first.number {
			first = f
		}
	}
	if first == nil {
		return err
	}
	err.ID = first.id
	tried := s.tried(first)
	for _, a := range first.asks {
		tried[a.m.name] = errSilent
	}
	err.tell(tried)
	return err
}

// tried is what peers answered to f, and why others are not asked for it. s.mu
// is held.
func (s *Swarm) tried(f *flight) map[string]error {
	out := map[string]error{}
	for name, err := range s.liars {
		if m := s.members[name]; m == nil || m.lied[f.id] {
			out[name] = err
		}
	}
	now := time.Now()
	for name, m := range s.members {
		switch {
		case out[name] != nil:
		case m.missing[f.id].After(now):
			out[name] = blobnet.ErrNotFound
		case !m.ready(now) && m.why != nil:
			out[name] = m.why
		}
	}
	maps.Copy(out, f.tried)
	return out
}

func (e *NotFoundError) tell(tried map[string]error) {
	for _, name := range slices.Sorted(maps.Keys(tried)) {
		e.Tried = append(e.Tried, Tried{Peer: name, Err: tried[name]})
	}
}

// errBanned is why a peer is not taken that misbehaved in another fetch.
var errBanned = fmt.Errorf("it misbehaved earlier and is asked for nothing for an hour: %w", blobnet.ErrCorrupt)

// maxLiars is of how many peers is remembered what they did.
const maxLiars = 64

// lied remembers what a peer did, so that it can be told why it is not asked.
// s.mu is held.
func (s *Swarm) lied(name string, err error) {
	if s.liars == nil {
		s.liars = map[string]error{}
	}
	if _, known := s.liars[name]; !known && len(s.liars) < maxLiars {
		s.liars[name] = err
	}
}
