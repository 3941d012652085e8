package diskstore

import (
	"slices"
	"sync"
	"testing"
)

// events notes what a store tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) want(t *testing.T, kinds ...EventKind) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	var got []EventKind
	for _, ev := range e.all {
		got = append(got, ev.Kind)
	}
	if !slices.Equal(got, kinds) {
		t.Errorf("the store told %v, want %v", got, kinds)
	}
}
