package fetch

import (
	"context"
	"maps"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// maxMembers is how many peers a Swarm asks. Anybody may call himself one.
	maxMembers = 256
	// maxMissing is how many blobs that a peer has not are remembered: some
	// 160 KiB for each member.
	maxMissing = 2048
	// A peer that fails is left alone for firstPause, then twice as long, up
	// to maxPause.
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
	// maxRangeFailures in a row, and a peer is not asked for parts for
	// partsPause, since it may not know how to give them; then it has one
	// attempt at a time.
	maxRangeFailures = 3
	partsPause       = time.Minute
)

// member is a peer in a Swarm. Its fields, but for the first group, which does
// not change, are guarded by the Swarm's mutex.
type member struct {
	peer   Peer
	name   string
	ranger blobnet.Ranger // nil if it gives no parts
	haver  Haver          // nil if it cannot be asked what it has
	meter  Metered        // nil if it does not say how much has come
	teller Announcer      // nil if it cannot be told what is here
	pinged Pinged         // nil if it does not know its round trip
	ctx    context.Context
	leave  context.CancelFunc // ends ctx when it leaves the swarm
	hash   uint64             // of name
	slot   int                // its place in masks
	number uint64             // how many were added before it

	pace
	missing  map[blobnet.ID]time.Time   // not to be asked for this before then
	expiring []expiry                   // missing by time
	lied     map[blobnet.ID]bool        // it sent wrong bytes for these
	pause    time.Time                  // not to be asked for anything before then
	why      error                      // of pause
	busy     bool                       // pause is because it said so
	held     [blobnet.Classes]time.Time // not to be asked for this class before then: the limiter
	failures int                        // in a row
	failed   time.Time                  // when the last one was
	struck   time.Time                  // when it last sent wrong bytes
	later    time.Time                  // not to be asked before then for what others ask it for first
	good     time.Time                  // when it last gave a blob
	noRanges int                        // failures of parts in a row
	parts    time.Time                  // not to be asked for parts before then, if those were too many
	stock                               // what is known of what it has
}

type expiry struct {
	id blobnet.ID
	at time.Time
}

func newMember(p Peer, name string, window int) *member {
	m := &member{peer: p, name: name, hash: nameHash(name), missing: make(map[blobnet.ID]time.Time)}
	m.ranger, _ = p.(blobnet.Ranger)
	m.haver, _ = p.(Haver)
	m.meter, _ = p.(Metered)
	m.pinged, _ = p.(Pinged)
	m.teller, _ = p.(Announcer)
	m.limit, m.window = window, min(window, firstWindow)
	m.ctx, m.leave = context.WithCancel(context.Background())
	return m
}

// ready reports whether m may be asked for anything at all.
func (m *member) ready(now time.Time) bool { return !m.pause.After(now) }

// occupied takes note that m said it is busy: it is left alone until then.
func (m *member) occupied(until time.Time, err error) {
	m.pause, m.busy, m.why = until, true, err
	m.shrink()
}

// willGive reports whether m is busy and yet at work: it gave something within
// the time given, or owes something. Then it is worth waiting for.
func (m *member) willGive(now time.Time, within time.Duration) bool {
	return m.busy && (m.open > 0 || now.Sub(m.good) < within)
}

// gives reports whether m can be asked for f's blob as far as its abilities go.
func (m *member) gives(f *flight, now time.Time) bool {
	return !m.lied[f.id] && (f.length == 0 || m.givesParts(now))
}

// givesParts reports whether m can be asked for parts of blobs.
func (m *member) givesParts(now time.Time) bool {
	return m.ranger != nil && (m.noRanges < maxRangeFailures || !m.parts.After(now))
}

// lies remembers that m sent wrong bytes for the blob id: for as many at most as
// are asked for at a time, since the next offence is a ban.
func (m *member) lies(id blobnet.ID) {
	if m.lied == nil {
		m.lied = make(map[blobnet.ID]bool)
	}
	m.lied[id] = true
}

// hasNot remembers that m has not the blob id until the time given. If that is
// too much it forgets what has expired, or else all the others.
func (m *member) hasNot(id blobnet.ID, now, until time.Time) {
	if len(m.missing) >= maxMissing {
		m.forget(now, func(blobnet.ID) {})
	}
	if len(m.missing) >= maxMissing {
		clear(m.missing)
		m.expiring = nil
	}
	m.missing[id] = until
	m.expiring = append(m.expiring, expiry{id, until})
}

// forget forgets what has expired, and tells of each blob that m may be asked
// for again.
func (m *member) forget(now time.Time, again func(blobnet.ID)) {
	for len(m.expiring) > 0 && !m.expiring[0].at.After(now) {
		e := m.expiring[0]
		m.expiring = m.expiring[1:]
		if m.missing[e.id].Equal(e.at) {
			delete(m.missing, e.id)
			again(e.id)
		}
	}
	if len(m.expiring) == 0 {
		m.expiring = nil
	}
}

// next is when something about m changes by itself, or zero.
func (m *member) next(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	sooner(m.pause)
	for _, t := range m.held {
		sooner(t)
	}
	if len(m.expiring) > 0 {
		sooner(m.expiring[0].at)
	}
	return at
}

// manyFailures in a row make a member that gave something once like one that
// never did.
const manyFailures = 8

// worse reports whether m should leave before o to make room: one that only
// fails before one that nothing is known of, and the older one of these.
// Members that give what they are asked for, or are about to, stay.
func (m *member) worse(o *member) bool {
	if a, b := m.rank(), o.rank(); a != b {
		return a < b
	}
	if m.failures != o.failures {
		return m.failures > o.failures
	}
	return m.number < o.number
}

func (m *member) rank() int {
	switch {
	case m.failures >= manyFailures, m.failures > 0 && m.good.IsZero():
		return 0
	case m.good.IsZero() && m.open == 0:
		return 1
	}
	return stays
}

const stays = 2 // the rank of members that are not driven out

// success takes note of a blob that came at now. A peer that was busy and has
// given all that it owed has room again, however long it asked to be left alone.
func (m *member) success(now time.Time) {
	m.failures = 0
	m.good = now
	if m.busy && m.open == 0 {
		m.busy, m.pause = false, time.Time{}
	}
}

// failure takes note that a request made at begun failed at now. Requests that
// fail together, as when a connection breaks, count once.
func (m *member) failure(begun, now time.Time, err error) {
	if !begun.After(m.failed) {
		return
	}
	m.failed = now
	m.shrink()
	m.busy, m.why = false, err
	m.pause = now.Add(min(firstPause<<min(m.failures, 10), maxPause))
	m.failures++
}

// gone forgets what m has not: it will not be asked.
func (m *member) gone() {
	m.leave()
	maps.DeleteFunc(m.missing, func(blobnet.ID, time.Time) bool { return true })
	m.expiring = nil
}
