package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// localReads is how many blobs are read from the store at once for Eaches.
const localReads = 8

// readLocal reads from the store what Eaches want and there is memory for. s.mu
// is held.
func (s *Swarm) readLocal() {
	for len(s.local) > 0 && s.reading < localReads && s.admits(s.local[0]) {
		f := s.local[0]
		if !s.charge(f) {
			return
		}
		s.local[0] = nil
		s.local = s.local[1:]
		f.stored = false
		f.running++
		s.reading++
		go func() {
			defer s.stopped(f)
			s.find(f)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reading--
			s.readLocal()
		}()
	}
}

// unstore takes f out of those that wait to be read. s.mu is held.
func (s *Swarm) unstore(f *flight) {
	if !f.stored {
		return
	}
	f.stored = false
	for i, o := range s.local {
		if o == f {
			s.local = append(s.local[:i], s.local[i+1:]...)
			return
		}
	}
}

// look gets the blob of f from the store, or makes it wait for a member.
func (s *Swarm) look(f *flight) {
	defer s.stopped(f)
	s.find(f)
}

func (s *Swarm) find(f *flight) {
	buf := s.getBuffer()
	blob, err := s.cfg.Store.Get(f.ctx, f.id, buf)
	if err != nil {
		s.putBuffer(buf)
	}
	if errors.Is(err, blobnet.ErrCorrupt) {
		s.event(Event{Kind: KindCorrupt, ID: f.id, Err: err})
		if d, ok := s.cfg.Store.(blobnet.Deleter); ok {
			_ = d.Delete(f.ctx, f.id) // or Put might find it there; a pinned one the store has to replace
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.finish(f, blob, true, nil)
	case errors.Is(err, blobnet.ErrCorrupt), errors.Is(err, blobnet.ErrNotFound):
		s.uncharge(f)
		if f.refs > 0 {
			s.enqueue(f, time.Now())
		}
	default:
		s.finish(f, nil, false, err)
	}
	s.pump(time.Now())
}

// keep stores a blob that came from a peer.
func (s *Swarm) keep(f *flight, blob []byte) error {
	if f.length > 0 {
		return nil // only whole blobs are stored
	}
	return s.Keep(f.ctx, f.id, blob)
}

// Keep stores a blob that the caller got otherwise, as it does with those of
// peers: if the store has no room, that is told with KindUnstored and no error,
// unless MustStore says otherwise. The caller has hashed blob, keeps it, and does not
// change it until Keep returns.
func (s *Swarm) Keep(ctx context.Context, id blobnet.ID, blob []byte) error {
	var err error
	switch store := s.cfg.Store.(type) {
	case nil:
		return nil
	case blobnet.VerifiedPutter: // the Source of the blob has hashed it
		err = store.PutVerified(ctx, id, blob)
	default:
		err = store.Put(ctx, id, blob)
	}
	if errors.Is(err, blobnet.ErrFull) && !s.cfg.MustStore {
		s.event(Event{Kind: KindUnstored, ID: id, Err: err})
		return nil
	}
	return err
}

// recent is the blobs that were stored last: who looked into the store before
// that, and begins a flight after it, would get them twice.
type recent struct {
	ids  map[blobnet.ID]struct{}
	ring [256]blobnet.ID
	next int
}

func (r *recent) add(id blobnet.ID) {
	if r.ids == nil {
		r.ids = make(map[blobnet.ID]struct{}, len(r.ring))
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next] = id
	r.ids[id] = struct{}{}
	r.next = (r.next + 1) % len(r.ring)
}

func (r *recent) has(id blobnet.ID) bool {
	_, ok := r.ids[id]
	return ok
}
