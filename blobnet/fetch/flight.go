package fetch

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// flightID names a blob, or a part of it if length is not 0.
type flightID struct {
	id     blobnet.ID
	offset int
	length int
}

// flight is the getting of one blob, or of a part of one, for all who want it
// at the same time. It waits in a queue, or members are asked for it, or it is
// read from the store; it has goroutines only in the latter two cases.
type flight struct {
	flightID
	want   Want
	ctx    context.Context // ends when nobody wants it any more
	cancel context.CancelFunc
	asked  context.Context // of ctx; ends when one of those asked has given it
	enough func()
	done   chan struct{} // closed when the fields of the next group are final
	ended  chan struct{} // closed when nobody wants it and nothing of it runs

	blob  []byte // shared: nobody may write to it
	local bool   // it was in the store
	err   error

	// The rest is guarded by the Swarm's mutex.
	node              // its place in a queue
	size    int       // bytes that it probably has
	seq     uint64    // its number in the walk that wanted it first
	refs    int       // those who want it
	waiting int       // of these, those that are no Each
	subs    []arrival // the Eaches to be told
	running int       // goroutines that work on it
	over    bool      // done is closed
	won     bool      // one of those asked has given it
	stored  bool      // it is in Swarm.local
	charged int       // bytes that count as held

	asks    []*ask // who is being asked
	place   int    // in Swarm.asking; -1 if not there
	split   bool   // parts of it are being got
	unsplit bool   // its parts were of no use

	notFound mask             // members that said so, when they were asked for it
	notHeld  mask             // members that said so, or probably would, when they are asked what they have
	barred   mask             // members that are not to be asked for it
	busy     mask             // members that are being asked
	triedBy  mask             // members in tried
	tried    map[string]error // by name, what each peer answered last

	shared  uint64    // Swarm.rivalry when own was found out
	own     bool      // this node gets it first, among those that get the same
	from    string    // who has given it
	accused []*member // they gave a part that does not fit the tree

	lost    time.Time // since when there has been nobody new to ask; zero if there is
	excused int       // how often lost was made zero since the member that failed is alive
	check   time.Time // when it is to be looked at whether to give up
	checked int       // its place in Swarm.checks; -1 if not there
}

// arrival tells an Each that its item n has come, or failed.
type arrival struct {
	walk interface{ came(n uint64) }
	n    uint64
}

// begin makes a flight, which does nothing yet. s.mu is held.
func (s *Swarm) begin(ctx context.Context, w Want, id flightID) *flight {
	f := &flight{
		flightID: id, want: w, size: id.length, place: -1, checked: -1,
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	f.want.Class = min(w.Class, blobnet.Classes-1)
	f.node.f = f
	f.number = s.number
	s.number++
	if f.size == 0 {
		f.size = s.expected(&f.want)
	}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	asked, enough := context.WithCancelCause(f.ctx)
	f.asked, f.enough = asked, func() { enough(blobnet.ErrGiven) }
	now := time.Now()
	for _, m := range s.members {
		if at, ok := m.missing[id.id]; ok && at.After(now) {
			f.notFound.set(m.slot)
		}
		if m.partial {
			f.notHeld.set(m.slot)
		}
		if !m.gives(f, now) {
			f.barred.set(m.slot)
		}
	}
	if len(s.flights) == 0 {
		s.rearm(now) // nothing woke while nothing was wanted
	}
	s.flights[id] = f
	return f
}

// join makes a caller that waits share the flight of a blob, a new one if there
// is none. Every join needs a leave.
func (s *Swarm) join(ctx context.Context, w Want) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[flightID{id: w.ID}]
	fresh := f == nil
	if fresh {
		f = s.begin(ctx, w, flightID{id: w.ID})
	}
	s.hurry(f, w)
	f.refs++
	f.waiting++
	switch {
	case fresh && s.cfg.Store != nil:
		f.running++
		go s.look(f)
	case fresh:
		s.enqueue(f, time.Now())
	case f.stored:
		s.unstore(f)
		f.running++
		go s.look(f)
	default:
		s.fix(f)
	}
	if f.queued {
		s.pump(time.Now())
	}
	return f
}

// follow is join for item n of an Each; stored says that the store has it.
// joined is called, with s.mu held, before sub may be told.
func (s *Swarm) follow(ctx context.Context, w Want, sub arrival, stored bool, joined func(*flight)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[flightID{id: w.ID}]
	fresh := f == nil
	if fresh {
		f = s.begin(ctx, w, flightID{id: w.ID})
		f.seq = sub.n
	}
	s.hurry(f, w)
	f.refs++
	joined(f)
	f.subs = append(f.subs, sub)
	switch {
	case fresh && (stored || s.landing.has(w.ID)):
		f.stored = true
		s.local = append(s.local, f)
	case fresh:
		s.enqueue(f, time.Now())
	}
	if fresh {
		s.pump(time.Now())
	}
}

// hurry makes f as urgent as w is, too. s.mu is held.
func (s *Swarm) hurry(f *flight, w Want) {
	if f.want.Size == 0 || f.want.Tree == [32]byte{} {
		f.want.Tree, f.want.Size = w.Tree, w.Size
	}
	if w.Patience == 0 || f.want.Patience > 0 && w.Patience > f.want.Patience {
		f.want.Patience = w.Patience
	}
	class, due := min(f.want.Class, w.Class), f.want.Due
	if !w.Due.IsZero() && (due.IsZero() || w.Due.Before(due)) {
		due = w.Due
	}
	if class == f.want.Class && due.Equal(f.want.Due) {
		return
	}
	queued := f.queued
	s.queues[f.want.Class].remove(&f.node)
	f.want.Class, f.want.Due = class, due
	if queued {
		f.key, f.block = s.place(f)
		s.queues[class].push(&f.node)
	}
}

// leave ends a caller's use of f and its blob. When the last one has left, and
// all that was started for f has ended, ended is closed; if that has not
// happened yet leave returns it.
func (s *Swarm) leave(f *flight, waited bool) (ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.refs--
	if waited {
		f.waiting--
	}
	if f.refs > 0 {
		return nil
	}
	s.forgetFlight(f)
	f.cancel()
	s.dequeue(f)
	s.unstore(f)
	if f.running > 0 {
		return f.ended
	}
	s.release(f)
	return nil
}

// stopped takes note that a goroutine that worked on f ends.
func (s *Swarm) stopped(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.running--
	if f.refs == 0 && f.running == 0 {
		s.release(f)
	}
}

// release gives back what f holds. s.mu is held.
func (s *Swarm) release(f *flight) {
	s.putBuffer(f.blob)
	f.blob = nil
	if f.charged > 0 {
		s.uncharge(f)
		s.pump(time.Now())
	}
	close(f.ended)
}

// finish ends f and tells those who want it. s.mu is held.
func (s *Swarm) finish(f *flight, blob []byte, local bool, err error) {
	f.blob, f.local, f.err, f.over = blob, local, err, true
	s.forgetFlight(f)
	s.dequeue(f)
	if more := len(blob) - f.charged; f.charged > 0 && len(blob) > 0 {
		s.held += int64(more)
		s.cfg.Budget.correct(s, int64(more))
		f.charged = len(blob)
	}
	f.enough()
	close(f.done)
	for _, sub := range f.subs {
		sub.walk.came(sub.n)
	}
	f.subs = nil
}

// forgetFlight lets nobody join f any more. s.mu is held.
func (s *Swarm) forgetFlight(f *flight) {
	if s.flights[f.flightID] == f {
		delete(s.flights, f.flightID)
	}
	if len(s.flights) == 0 && s.timer != nil {
		s.timer.Stop()
		s.alarm = time.Time{}
	}
}

// forget makes f know no member of that slot any more.
func (f *flight) forget(slot int) {
	for _, m := range []*mask{&f.notFound, &f.notHeld, &f.barred, &f.busy, &f.triedBy} {
		m.clear(slot)
	}
}

// patient reports whether nobody but Eaches waits for f.
func (f *flight) patient() bool { return f.waiting == 0 }
