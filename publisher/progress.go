package publisher

import (
	"sync/atomic"
	"time"
)

// Progress counts plaintext bytes of one call of Ingest or FromDraft, over all
// of its files.
type Progress struct {
	Name  string // of a file that is being read
	Done  uint64 // bytes
	Total uint64 // bytes
}

// progressInterval is the least time between two reports but the last.
const progressInterval = 100 * time.Millisecond

// meter counts for many readers and reports now and then, one report at a
// time. A reader never waits for the report of another.
type meter struct {
	report    func(Progress) // may be nil
	now       func() time.Time
	total     uint64
	done      atomic.Uint64
	last      atomic.Int64 // when was reported, in nanoseconds
	reporting atomic.Bool
}

func (m *meter) add(name string, n int) {
	done := m.done.Add(uint64(n))
	if m.report == nil || !m.reporting.CompareAndSwap(false, true) {
		return
	}
	defer m.reporting.Store(false)
	if now := m.now().UnixNano(); now-m.last.Load() >= int64(progressInterval) {
		m.last.Store(now)
		m.report(Progress{Name: name, Done: done, Total: m.total})
	}
}

// end makes the last report, when no reader is left.
func (m *meter) end(name string) {
	if m.report != nil {
		m.report(Progress{Name: name, Done: m.done.Load(), Total: m.total})
	}
}
