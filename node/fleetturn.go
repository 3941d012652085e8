package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

const (
	// maxJobs bounds the jobs of a channel that a member is at.
	maxJobs = 32
	// jobIdle is how long a job that gets nothing keeps others from being begun.
	jobIdle = 5 * time.Second
)

// jobTurns has one job done at a time, so that members share the work and who dies takes
// little with him. A job that gets nothing leaves its turn to the next, and goes on
// beside it: releases of which nobody has a blob hold up no others.
type jobTurns struct {
	idle   time.Duration
	turn   chan struct{} // holds one while a job has the turn
	places chan struct{} // holds one for each job
}

func newJobTurns(idle time.Duration) *jobTurns {
	return &jobTurns{idle: idle, turn: make(chan struct{}, 1), places: make(chan struct{}, maxJobs)}
}

// next waits for the turn, and reports whether there is one before ctx ends. It is followed
// by begin or unused.
func (t *jobTurns) next(ctx context.Context) bool {
	for _, c := range []chan struct{}{t.turn, t.places} {
		select {
		case c <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

func (t *jobTurns) unused() { <-t.places; <-t.turn }

// begin is a job that has the turn. One that was given out before got nothing then, and
// leaves it at once.
func (t *jobTurns) begin(again bool) *jobTurn {
	j := &jobTurn{of: t}
	if again {
		j.leave()
		return j
	}
	j.timer = time.AfterFunc(t.idle, j.leave)
	return j
}

type jobTurn struct {
	of    *jobTurns
	timer *time.Timer // nil: it has left
	left  sync.Once
}

func (j *jobTurn) leave() { j.left.Do(func() { <-j.of.turn }) }

// came says that the job has got something.
func (j *jobTurn) came() {
	if j.timer != nil {
		j.timer.Reset(j.of.idle)
	}
}

// end is called when the job is over.
func (j *jobTurn) end() {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.leave()
	<-j.of.places
}

// begins notes that a job on a release runs here, if there is none.
func (m *mirroring) begins(r catalog.Release, turn *jobTurn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[r.Position] != nil {
		return false
	}
	m.busy[r.Position] = turn
	return true
}

// ends notes that it is over.
func (m *mirroring) ends(r catalog.Release, err error) {
	m.tried(r, err)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, r.Position)
	m.full = errors.Is(err, blobnet.ErrFull)
}

// isFull reports whether there was no room for the last job.
func (m *mirroring) isFull() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.full
}

// came says that a blob of a release came from elsewhere.
func (m *mirroring) came(r catalog.Release) {
	m.mu.Lock()
	turn := m.busy[r.Position]
	m.mu.Unlock()
	if turn != nil {
		turn.came()
	}
}
