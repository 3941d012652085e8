package fetch

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// maxMissing is how many blobs that a peer has not are remembered.
	maxMissing = 16384
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

// hasNot remembers that m has not the blob id until the time given.
func (m *member) hasNot(id blobnet.ID, until time.Time) {
	if len(m.missing) >= maxMissing {
		clear(m.missing)
	}
	m.missing[id] = until
}

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
