package fetch

import (
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// flight is the getting of one blob for all who want it at the same time. Its
// goroutine ends before the last of them has left.
type flight struct {
	id     blobnet.ID
	number uint64          // how many were begun before it
	ctx    context.Context // ends when nobody wants it any more
	cancel context.CancelFunc
	done   chan struct{} // closed when the fields below are final

	blob  []byte // shared: nobody may write to it
	local bool   // it was in the store
	err   error

	// Guarded by the Swarm's mutex.
	refs    int              // those who want it
	asking  map[*member]bool // who is being asked
	tried   map[string]error // by name, what each peer answered last
	grant   chan grant       // what schedule gave
	place   *list.Element    // in Swarm.waiting, or nil
	lost    time.Time        // since when there has been nobody new to ask; zero if there is
	excused int              // how often lost was made zero since the member that failed is alive
}

// join returns the flight of id, a new one if there is none. Every join needs
// a leave.
func (s *Swarm) join(ctx context.Context, id blobnet.ID) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[id]
	if f == nil {
		f = &flight{
			id:     id,
			number: s.number,
			done:   make(chan struct{}),
			asking: make(map[*member]bool),
			tried:  make(map[string]error),
			grant:  make(chan grant, 1),
		}
		f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.number++
		s.flights[id] = f
		go s.fly(f)
	}
	f.refs++
	return f
}

// leave ends the caller's use of f and its blob. The last to leave waits for
// the flight to end.
func (s *Swarm) leave(f *flight) {
	s.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last && s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
	s.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
		s.putBuffer(f.blob)
		f.blob = nil
	}
}

// fly gets the blob of f.
func (s *Swarm) fly(f *flight) {
	f.blob, f.local, f.err = s.find(f)
	s.mu.Lock()
	if s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
	s.mu.Unlock()
	close(f.done)
}

func (s *Swarm) find(f *flight) (blob []byte, local bool, err error) {
	if s.cfg.Store != nil {
		buf := s.getBuffer()
		blob, err := s.cfg.Store.Get(f.ctx, f.id, buf)
		if err == nil {
			return blob, true, nil
		}
		s.putBuffer(buf)
		switch {
		case errors.Is(err, blobnet.ErrCorrupt):
			s.event(Event{Kind: KindCorrupt, ID: f.id, Err: err})
			if d, ok := s.cfg.Store.(blobnet.Deleter); ok {
				d.Delete(f.ctx, f.id) // or Put might find it there; a pinned one the store has to replace
			}
		case !errors.Is(err, blobnet.ErrNotFound):
			return nil, false, err
		}
	}
	blob, err = s.ask(f)
	if err == nil {
		err = s.keep(f, blob)
	}
	return blob, false, err
}

// keep stores a blob that came from a peer.
func (s *Swarm) keep(f *flight, blob []byte) error {
	var err error
	switch store := s.cfg.Store.(type) {
	case nil:
		return nil
	case blobnet.VerifiedPutter: // the Source of the blob has hashed it
		err = store.PutVerified(f.ctx, f.id, blob)
	default:
		err = store.Put(f.ctx, f.id, blob)
	}
	if errors.Is(err, blobnet.ErrFull) && !s.cfg.MustStore {
		s.event(Event{Kind: KindUnstored, ID: f.id, Err: err})
		return nil
	}
	return err
}

// attempt is what came of asking one member.
type attempt struct {
	grant
	begun time.Time
	blob  []byte
	err   error
}

// ask gets the blob of f from a member, from a second one as well if the first
// is slow, and from others if they fail.
func (s *Swarm) ask(f *flight) ([]byte, error) {
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan attempt)
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			a := <-ended
			s.settle(f, a, true)
			s.putBuffer(a.blob)
		}
	}()
	slow := time.NewTimer(s.cfg.SlowAfter)
	defer slow.Stop()
	for {
		if running == 0 {
			g, err := s.reserve(f)
			if err != nil {
				return nil, err
			}
			running++
			go s.attempt(ctx, f, g, ended)
			slow.Reset(s.cfg.SlowAfter)
		}
		select {
		case a := <-ended:
			running--
			s.settle(f, a, false)
			if a.err == nil {
				return a.blob, nil
			}
			s.putBuffer(a.blob)
		case <-slow.C:
			if running == 1 {
				if g := s.tryReserve(f); g.m != nil {
					running++
					go s.attempt(ctx, f, g, ended)
				}
			}
			slow.Reset(s.cfg.SlowAfter)
		}
	}
}

// attempt asks one member.
func (s *Swarm) attempt(ctx context.Context, f *flight, g grant, ended chan<- attempt) {
	a := attempt{grant: g, begun: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.PeerTimeout)
	defer cancel()
	defer context.AfterFunc(g.m.ctx, cancel)()
	buf := s.getBuffer()
	a.blob, a.err = g.m.peer.Get(ctx, f.id, buf)
	if a.err != nil {
		a.blob = buf
	}
	ended <- a
}
