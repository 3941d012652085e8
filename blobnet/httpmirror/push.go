package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// PushConfig says what Push copies, and where to.
type PushConfig struct {
	// Target is a folder, or the http or https URL of a server that takes PUT:
	// WebDAV, a bucket, nginx with dav_methods. Below it everything goes into
	// blobs/. User and query of a URL go with every request and are told to
	// nobody else. Required.
	Target string
	// Source is where the blobs are. Required.
	Source blobnet.Source
	// IDs are the blobs to copy; an error in it ends Push. Required.
	IDs iter.Seq2[blobnet.ID, error]
	// Workers is how many blobs are copied at once; each has one in memory. If
	// zero, 4.
	Workers int
	// Verify reads what is there already and replaces it if it is wrong.
	// Otherwise what has the right size is right.
	Verify bool
	// OnProgress, if not nil, is told after every blob, and of Trouble. It is called by one
	// goroutine at a time, and must return at once.
	OnProgress func(PushResult)
	Link
}

func (c *PushConfig) validate() error {
	if c.Target == "" || c.Source == nil || c.IDs == nil {
		return errors.New("httpmirror: config has no Target, Source or IDs")
	}
	if c.Workers < 0 {
		return errors.New("httpmirror: config has a negative limit")
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	return nil
}

// PushResult counts what Push did.
type PushResult struct {
	Sent      int   // blobs that were copied
	SentBytes int64 // their bytes
	Skipped   int   // blobs that were there
	Failed    int   // blobs that were not copied
	// Failures says why, of the first 100.
	Failures []PushFailure
	// Trouble is the first failure of those that may pass and are tried again;
	// nil if there was none. It names the target, without secrets.
	Trouble error
}

// PushFailure is one blob that was not copied.
type PushFailure struct {
	ID  blobnet.ID
	Err error
}

// maxFailures is how many are told, and also how many in a row, with none that
// succeeded, end Push: then something is wrong with the target.
const maxFailures = 100

// maxSilent is how many tries end Push while the server has never answered.
const maxSilent = 8

// ErrIncomplete: some blobs were not copied; the PushResult says which.
var ErrIncomplete = errors.New("not all blobs were copied")

// target is where blobs go. put reports false if the blob was there.
type target interface {
	put(ctx context.Context, id blobnet.ID, blob []byte) (bool, error)
	// settle makes what was put durable. It is called when all puts are done.
	settle() error
}

// Push copies blobs to a folder or a server. It goes on where a blob fails; the
// error then wraps ErrIncomplete. Pushing again copies what is missing.
func Push(ctx context.Context, cfg PushConfig) (PushResult, error) {
	if err := cfg.validate(); err != nil {
		return PushResult{}, err
	}
	t, name, err := cfg.target()
	if err != nil {
		return PushResult{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &push{cfg: cfg, t: t, name: name, cancel: cancel}
	if u, ok := t.(*urlTarget); ok {
		u.failed = p.tryFailed
		defer u.c.close()
	}
	ids := make(chan blobnet.ID)
	var work sync.WaitGroup
	for range cfg.Workers {
		work.Go(func() {
			var buf []byte
			for id := range ids {
				buf = p.one(ctx, id, buf[:0])
			}
		})
	}
	var listing error
feed:
	for id, err := range cfg.IDs {
		if err != nil {
			listing = fmt.Errorf("listing blobs: %w", err)
			break
		}
		select {
		case ids <- id:
		case <-ctx.Done():
			break feed
		}
	}
	close(ids)
	work.Wait()
	if err := t.settle(); err != nil {
		return p.result, fmt.Errorf("copying blobs to %s: %w", name, err)
	}
	switch {
	case listing != nil:
		return p.result, listing
	case ctx.Err() != nil:
		return p.result, fmt.Errorf("copying blobs to %s: %w", name, context.Cause(ctx))
	case p.result.Failed > 0:
		return p.result, fmt.Errorf("copying blobs to %s: %w: %d of %d, the first: %w", name, ErrIncomplete,
			p.result.Failed, p.result.Failed+p.result.Sent+p.result.Skipped, p.result.Failures[0].Err)
	}
	return p.result, nil
}

// target tells a folder from a URL, and how to name it to others.
func (c *PushConfig) target() (target, string, error) {
	scheme, _, isURL := strings.Cut(c.Target, "://")
	if !isURL {
		t, err := newDirTarget(c.Target, c.Verify)
		return t, c.Target, err
	}
	if s := strings.ToLower(scheme); s != "http" && s != "https" {
		return nil, "", fmt.Errorf("%w: %q is neither a folder nor an http or https URL", ErrTarget, shown(c.Target))
	}
	caller, err := newCaller(c.Target, c.Link, c.Workers)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrTarget, err)
	}
	return &urlTarget{c: caller, verify: c.Verify}, caller.name(), nil
}

// push is one Push.
type push struct {
	cfg    PushConfig
	t      target
	name   string // of the target, without secrets
	cancel context.CancelCauseFunc

	mu     sync.Mutex // guards what follows, and the calls of OnProgress
	result PushResult
	silent int // tries before the server ever answered
}

// tryFailed notes a try of a server that failed in a way that may pass. One that
// was never heard of is not waited for as long as one that was.
func (p *push) tryFailed(id blobnet.ID, err error, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.result
	first := r.Trouble == nil
	if first {
		r.Trouble = fmt.Errorf("sending to %s: %w", p.name, err)
	}
	if !answered {
		p.silent++
	}
	ends := !answered && p.silent == maxSilent
	if ends {
		r.Failed++
		r.Failures = append(r.Failures, PushFailure{id, err})
		p.cancel(fmt.Errorf("%w: no answer in %d tries: %w", ErrIncomplete, maxSilent, err))
	}
	if first || ends {
		p.tell()
	}
}

// tell is called with mu held.
func (p *push) tell() {
	if p.cfg.OnProgress != nil {
		told := p.result
		told.Failures = told.Failures[:len(told.Failures):len(told.Failures)]
		p.cfg.OnProgress(told)
	}
}

// one copies one blob by way of buf, which it returns.
func (p *push) one(ctx context.Context, id blobnet.ID, buf []byte) []byte {
	if ctx.Err() != nil {
		return buf
	}
	blob, err := p.cfg.Source.Get(ctx, id, buf)
	put := false
	if err == nil {
		buf = blob
		put, err = p.t.put(ctx, id, blob)
	}
	if err != nil && ctx.Err() != nil {
		return buf // it is not the blob's fault
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.result
	switch {
	case err != nil:
		r.Failed++
		if len(r.Failures) < maxFailures {
			r.Failures = append(r.Failures, PushFailure{id, err})
		}
		if r.Failed == maxFailures && r.Sent+r.Skipped == 0 {
			p.cancel(fmt.Errorf("%w: none of the first %d: %w", ErrIncomplete, maxFailures, err))
		}
	case put:
		r.Sent++
		r.SentBytes += int64(len(blob))
	default:
		r.Skipped++
	}
	p.tell()
	return buf
}
