package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// work does the jobs of a channel that this member is given, one after the other, until
// ctx ends; beside it those go on that wait for what nobody gives. What the queue fails at
// is tried again, and hinders nothing else.
func (f *fleet) work(ctx context.Context, m *mirroring) error {
	var doing sync.WaitGroup
	defer doing.Wait()
	turns := newJobTurns(f.jobIdle)
	for attempts, full := 0, 0; turns.next(ctx); {
		if full++; !m.isFull() {
			full = 0
		} else { // others may have room
			_ = pause(ctx, natsbridge.Backoff(full))
		}
		jobs := f.queue()
		if jobs == nil || !f.ready() {
			turns.unused()
			_ = pause(ctx, newsPause)
			continue
		}
		task, err := jobs.Take(ctx, f.jobKind(m.id), jobPatience)
		if err == nil {
			attempts = 0
			turn := turns.begin(task.Delivery > 1)
			doing.Go(func() {
				defer turn.end()
				if err := f.do(ctx, m, task, turn); err != nil && ctx.Err() == nil {
					f.fail(err)
				}
			})
			continue
		}
		turns.unused()
		switch {
		case errors.Is(err, natsbridge.ErrNoJob):
			attempts = 0
		case ctx.Err() == nil:
			if f.queue() != nil { // else that was told
				f.fail(err)
			}
			_ = pause(ctx, natsbridge.Backoff(attempts))
			attempts++
			m.askAgain() // what was asked for may be lost
		}
	}
	return ctx.Err()
}

// queue is where jobs are, nil while it does not answer.
func (f *fleet) queue() *natsbridge.Jobs {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.jobs
}

func (f *fleet) answers(jobs *natsbridge.Jobs) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs, f.refuses = jobs, false
}

// declare asks for a release to be fetched, once for everybody. It reports whether it
// could: while the queue does not answer it is for later, and so is what fails, which is
// told: other releases may be had from members without it.
func (f *fleet) declare(ctx context.Context, id channel.ID, key channel.Hash) bool {
	f.mu.Lock()
	jobs, refuses := f.jobs, f.refuses
	f.mu.Unlock()
	if jobs == nil || refuses {
		return false
	}
	err := jobs.Declare(ctx, natsbridge.Job{Kind: f.jobKind(id), ID: key.String()})
	if err == nil || errors.Is(err, natsbridge.ErrQueued) {
		return true
	}
	if ctx.Err() == nil {
		f.mu.Lock()
		f.refuses = true // it is not asked in vain for one release after the other
		f.mu.Unlock()
		f.fail(err)
	}
	return false
}

// do does a job. What it says is believed no further than to look a release up.
func (f *fleet) do(ctx context.Context, m *mirroring, task *natsbridge.Task, turn *jobTurn) error {
	stop := inProgress(ctx, task)
	defer stop()
	hash, err := channel.ParseHash(task.ID)
	if err != nil {
		return task.Bury(ctx, "its id is no hash of a manifest")
	}
	r, err := m.n.catalog.Release(ctx, m.id, hash)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := f.net.gossip.SyncAll(ctx, m.id); err != nil {
			f.n.log.Debug("syncing", "channel", address(m.id), "error", err)
		}
		r, err = m.n.catalog.Release(ctx, m.id, hash)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return task.Retry(ctx, jobRetry, "a member that was given it does not know the release")
	}
	if err != nil {
		return err
	}
	if !m.begins(r, turn) { // it was given out again while NATS was away
		return task.Retry(ctx, jobRetry, "it is being done already")
	}
	if m.waitsForRoom(r) {
		m.ends(r, blobnet.ErrFull)
		return task.Retry(ctx, jobRetry, blobnet.ErrFull.Error())
	}
	got, err := m.doJob(ctx, r)
	m.ends(r, err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // another member is given it
	case err != nil:
		return errors.Join(fmt.Errorf("release %d: %w", r.Seq, err), task.Retry(ctx, jobRetry, err.Error()))
	case got.Missing > 0:
		return task.Retry(ctx, jobRetry<<(task.Delivery-1), fmt.Sprintf("%d of %d blobs nobody gives", got.Missing, got.Blobs))
	}
	stop()
	if err := task.Done(ctx); err != nil {
		return err
	}
	f.news()
	m.wake()
	m.awaitCopy(ctx, r)
	return nil
}

// inProgress says that a job is being done until stop is called, which may be called
// twice.
func inProgress(ctx context.Context, task *natsbridge.Task) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var saying sync.WaitGroup
	saying.Go(func() {
		for pause(ctx, jobProgress) == nil {
			_ = task.Progress()
		}
	})
	return func() { cancel(); saying.Wait() }
}

// doJob fetches a release: from members what they have of it, and the rest from
// outside.
func (m *mirroring) doJob(ctx context.Context, r catalog.Release) (MirrorEvent, error) {
	pin := m.owns(r)
	if others := m.fleet.others(); len(others) > 0 {
		s, err := m.memberSwarm(others)
		if err != nil {
			return m.event(r), err
		}
		got, err := m.fetch(ctx, s, m.swarm, r, pin, memberMissPatience)
		got.From = "members"
		if err != nil || got.Missing == 0 {
			return got, errors.Join(err, m.finishJob(ctx, r, got, pin))
		}
		m.count(got)
	}
	got, err := m.fetch(ctx, m.swarm, m.swarm, r, pin, mirrorPatience)
	if got.From = "outside"; err != nil {
		m.count(got)
		return got, err
	}
	return got, m.finishJob(ctx, r, got, pin)
}

// finishJob is finish for one who may not be an owner.
func (m *mirroring) finishJob(ctx context.Context, r catalog.Release, got MirrorEvent, own bool) error {
	if err := m.finish(ctx, r, got); err != nil || own {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.whole.remove(r.Position)
	return nil
}

// awaitCopy waits until another owner has a release as well, so that nobody who dies
// takes much with him that has to be fetched from outside again. It does not wait for
// ever: the others find out by themselves.
func (m *mirroring) awaitCopy(ctx context.Context, r catalog.Release) {
	ids, whole, err := m.here(ctx, r)
	if err != nil || !whole || len(ids) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	for {
		owners := m.ownersAmong(r)
		if len(owners) == 0 || len(having(limited, owners, ids, true)) > 0 || pause(limited, syncRetry) != nil {
			return
		}
	}
}
