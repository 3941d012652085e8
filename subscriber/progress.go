package subscriber

import (
	"sync/atomic"
	"time"
)

// Progress counts plaintext bytes of one download, over all of its files.
type Progress struct {
	Name  string // of a file that grows
	Done  uint64 // bytes
	Total uint64 // bytes
	Local uint64 // bytes of Done that this node had already
	Peers uint64 // bytes of Done that peers sent
}

// progressInterval is the least time between two reports but the last.
const progressInterval = 100 * time.Millisecond

// meter counts for many goroutines and reports now and then, one report at a
// time. Nobody waits for the report of another.
type meter struct {
	report       func(Progress) // may be nil
	total        uint64
	local, peers atomic.Uint64
	last         atomic.Int64 // when was reported, in nanoseconds
	reporting    atomic.Bool
}

func (m *meter) add(name string, n uint64, local bool) {
	if local {
		m.local.Add(n)
	} else {
		m.peers.Add(n)
	}
	if m.report == nil || !m.reporting.CompareAndSwap(false, true) {
		return
	}
	defer m.reporting.Store(false)
	if now := time.Now().UnixNano(); now-m.last.Load() >= int64(progressInterval) {
		m.last.Store(now)
		m.report(m.progress(name))
	}
}

// end makes the last report, when nobody adds any more.
func (m *meter) end(name string) {
	if m.report != nil {
		m.report(m.progress(name))
	}
}

func (m *meter) progress(name string) Progress {
	local, peers := m.local.Load(), m.peers.Load()
	return Progress{Name: name, Done: local + peers, Total: m.total, Local: local, Peers: peers}
}

const (
	// progressMin is the size, in bytes, from which on Follow tells how far a
	// file is.
	progressMin = 8 << 20
	// pulseInterval is the least time between two ProgressEvents of one Follow.
	pulseInterval = 500 * time.Millisecond
)

// pulse says when it is time for another ProgressEvent. It may be used by many
// goroutines at once.
type pulse struct{ last atomic.Int64 } // nanoseconds

func (p *pulse) due() bool {
	now, last := time.Now().UnixNano(), p.last.Load()
	return now-last >= int64(pulseInterval) && p.last.CompareAndSwap(last, now)
}
