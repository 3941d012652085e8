package fetch

import (
	"context"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// A peer of which nothing is known is asked about firstPoll blobs, one
	// that has only some about maxPoll at a time: 16 KiB of ids.
	firstPoll, maxPoll = 128, 512
	// It is asked again after leastPoll at the earliest; when it has nothing
	// new, after twice as long each time, up to mostPoll.
	leastPoll, mostPoll = 200 * time.Millisecond, time.Second
	// Until it was asked about everything that waits it is asked every
	// sweepPoll.
	sweepPoll = 20 * time.Millisecond
	// pollTimeout is how long an answer may take; after failedPoll it is asked
	// again.
	pollTimeout, failedPoll = 15 * time.Second, 5 * time.Second
	// maxEmpty is how often a peer that says it has a blob may turn out not to
	// have it, before its word is not asked for any more.
	maxEmpty = 16
	// While peers were not asked yet what they have, a walk asks for nothing,
	// for so long: or all who begin at once would ask for the same.
	pollGrace = 25 * time.Millisecond
)

// stock is what is known of what a peer has. It is guarded by the Swarm's mutex.
type stock struct {
	complete bool          // it had all that it was asked about
	partial  bool          // it had not: it has only what it says
	polling  bool          // it is being asked
	due      time.Time     // when it is to be asked again
	every    time.Duration // how often it is asked
	swept    int           // how many of those that wait it was asked about since it is partial
	empty    int           // blobs that it said it has, and had not
	told     time.Time     // when it last said unasked what it has
	telling  bool          // it is being told what is here
	grew     time.Time     // when it was last seen to get more, or to be partial for the first time
}

// lacks takes note that the peer had not a blob that it was asked for.
func (k *stock) lacks() {
	if k.complete {
		*k = stock{empty: k.empty + 1, telling: k.telling} // ask again what it has
	} else if k.partial {
		k.empty++
	}
}

// poller asks the peers of a swarm what they have, while an Each runs.
type poller struct {
	s    *Swarm
	wake chan struct{} // has a token if there is reason to look
	work sync.WaitGroup
}

func (p *poller) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run polls until ctx ends, and returns after all that it began.
func (p *poller) run(ctx context.Context) {
	defer p.work.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.round(ctx))
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// round begins the polls that are due and returns when to look again.
func (p *poller) round(ctx context.Context) time.Duration {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	next := min(mostPoll, p.spread(ctx, now))
	for _, m := range s.members {
		if m.haver == nil || m.complete || m.polling || m.empty > maxEmpty || len(s.members) < 2 && !m.partial {
			continue
		}
		if wait := max(m.due.Sub(now), m.pause.Sub(now)); wait > 0 {
			next = min(next, wait)
			continue
		}
		ids := s.pollable(m)
		if len(ids) == 0 {
			next = min(next, leastPoll)
			continue
		}
		m.polling = true
		p.work.Go(func() { p.poll(ctx, m, ids) })
	}
	return next
}

// pollable returns the blobs about which m is to be asked now. s.mu is held.
func (s *Swarm) pollable(m *member) []blobnet.ID {
	var ids []blobnet.ID
	limit, skip := firstPoll, 0
	if m.partial {
		limit, skip = maxPoll, m.swept
	}
	for class := range s.queues {
		s.queues[class].each(func(n *node) bool {
			switch {
			case n.f.length > 0 || m.partial && !n.f.notHeld.has(m.slot):
			case skip > 0:
				skip--
			default:
				ids = append(ids, n.f.id)
			}
			return len(ids) < limit
		})
	}
	if m.partial && len(ids) < limit {
		m.swept = -len(ids) // all were asked about: begin anew
	}
	return ids
}

// poll asks m about ids.
func (p *poller) poll(walk context.Context, m *member, ids []blobnet.ID) {
	s := p.s
	ctx, cancel := context.WithTimeout(walk, pollTimeout)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	begun := time.Now()
	has, err := m.haver.Have(ctx, ids)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	m.polling = false
	defer p.kick()
	if err != nil || len(has) != len(ids) {
		if walk.Err() == nil { // else it was not the peer's fault, and another walk may ask
			m.due = now.Add(failedPoll)
		}
		return
	}
	if s.slots[m.slot] != m {
		return
	}
	m.answered(now.Sub(begun))
	s.said = now
	s.heard(m, ids, has, now)
}

// heard takes note of what m says it has. s.mu is held.
func (s *Swarm) heard(m *member, ids []blobnet.ID, has []bool, now time.Time) {
	yes := 0
	for i, id := range ids {
		if has[i] {
			yes++
			s.holds(m, id)
		} else if f := s.flights[flightID{id: id}]; f != nil {
			f.notHeld.set(m.slot)
			s.fix(f)
		}
	}
	swept := m.swept <= 0
	if m.partial && yes > 0 {
		m.grew = now
	}
	switch {
	case !m.partial && yes == len(ids):
		m.complete = true
	case !m.partial:
		m.partial, m.every, m.due, m.swept, m.grew = true, leastPoll, now, 0, now
		s.lacksRest(m)
	case yes == len(ids) && swept:
		m.complete, m.partial, m.swept = true, false, 0
	case !swept:
		m.swept += len(ids) - yes
		m.due = now.Add(sweepPoll)
	default:
		m.swept = 0
		m.every = min(2*m.every, mostPoll)
		if yes > 0 {
			m.every = leastPoll
		}
		m.due = now.Add(m.every)
		if now.Sub(m.told) < toldPoll {
			m.due = now.Add(toldPoll)
		}
	}
	s.reorder()
	s.pump(now)
}

// lacksRest makes everything that waits wait until m says that it has it. s.mu
// is held.
func (s *Swarm) lacksRest(m *member) {
	for _, f := range s.flights {
		f.notHeld.set(m.slot)
	}
	for i := range s.queues {
		s.queues[i].rebuild(func(n *node) (key, mask) { return s.place(n.f) })
	}
}

// Told takes note that the peer of that name says, unasked, that it has ids.
func (s *Swarm) Told(name string, ids []blobnet.ID) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[name]
	if m == nil || m.empty > maxEmpty {
		return
	}
	m.told, m.grew = now, now
	if m.partial && m.swept <= 0 { // it was asked about all that waits
		m.due = now.Add(toldPoll)
	}
	for _, id := range ids {
		s.holds(m, id)
	}
	s.pump(now)
}

// holds takes note that m says it has a blob. If it has said, when it was asked
// for that, that it has not, and its word has
// been empty before, it counts only if it ever gave something. s.mu is held.
func (s *Swarm) holds(m *member, id blobnet.ID) {
	f := s.flights[flightID{id: id}]
	if m.empty == 0 || !m.good.IsZero() {
		delete(m.missing, id)
		if f != nil {
			f.notFound.clear(m.slot)
		}
	}
	if f != nil {
		f.notHeld.clear(m.slot)
		s.fix(f)
	}
}
