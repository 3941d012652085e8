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
	// A peer whose blobs take longer than slowBlob has its window halved, one
	// whose blobs take less than fastBlob has it doubled: what is asked of a
	// peer should be there in some seconds.
	slowBlob = 8 * time.Second
	fastBlob = 2 * time.Second
)

// member is a peer in a Swarm. Its fields, but for the first four, which do
// not change, are guarded by the Swarm's mutex.
type member struct {
	peer  Peer
	name  string
	ctx   context.Context // ends when it leaves the swarm
	leave context.CancelFunc

	number   uint64                   // how many were added before it
	limit    int                      // the largest window
	window   int                      // bytes that may be asked for now
	out      int                      // bytes that are asked for
	missing  map[blobnet.ID]time.Time // not to be asked for this before then
	pause    time.Time                // not to be asked for anything before then
	failures int                      // in a row
	failed   time.Time                // when the last one was
	good     time.Time                // when it last gave a blob
}

func newMember(p Peer, name string, window int) *member {
	m := &member{peer: p, name: name, limit: window, window: window, missing: make(map[blobnet.ID]time.Time)}
	m.ctx, m.leave = context.WithCancel(context.Background())
	return m
}

// ready returns when m may be asked for id: a time not after now if it may.
func (m *member) ready(id blobnet.ID) time.Time {
	if t := m.missing[id]; t.After(m.pause) {
		return t
	}
	return m.pause
}

// free reports whether the window has room for size bytes, or is empty.
func (m *member) free(size int) bool { return m.out == 0 || m.out+size <= m.window }

// hasNot remembers that m has not the blob id until the time given. If that is
// too much it forgets what has expired, or else all the others.
func (m *member) hasNot(id blobnet.ID, now, until time.Time) {
	if len(m.missing) >= maxMissing {
		maps.DeleteFunc(m.missing, func(_ blobnet.ID, t time.Time) bool { return !t.After(now) })
	}
	if len(m.missing) >= maxMissing {
		clear(m.missing)
	}
	m.missing[id] = until
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
	case m.good.IsZero() && m.out == 0:
		return 1
	}
	return stays
}

const stays = 2 // the rank of members that are not driven out

// success takes note of a blob that was asked for at begun and is there now.
func (m *member) success(id blobnet.ID, begun, now time.Time) {
	m.failures = 0
	m.good = now
	delete(m.missing, id)
	switch took := now.Sub(begun); {
	case took > slowBlob:
		m.window = max(m.window/2, 1)
	case took < fastBlob:
		m.window = min(m.window*2, m.limit)
	}
}

// failure takes note that a request made at begun failed at now. Requests that
// fail together, as when a connection breaks, count once.
func (m *member) failure(begun, now time.Time) {
	if !begun.After(m.failed) {
		return
	}
	m.failed = now
	m.window = max(m.window/2, 1)
	m.pause = now.Add(min(firstPause<<min(m.failures, 10), maxPause))
	m.failures++
}
