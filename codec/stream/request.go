package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/codec"
)

// ask requests the groups from from to before to of c, none of which is there
// or asked for. The caller holds mu, and File is not closed.
func (f *File) ask(c *chunk, from, to int, urgent bool, due time.Time) *request {
	ctx, cancel := context.WithCancel(f.ctx)
	r := &request{chunk: c, from: from, to: to, urgent: urgent, running: 1, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	c.asked.set(from, to)
	c.requests = append(c.requests, r)
	class := blobnet.Prefetch
	if urgent {
		class = blobnet.Stream
	}
	f.start(func() { f.fetch(r, class, due) })
	return r
}

// hurryAfter is how long a request that became urgent is left alone: it may be
// about to end, and then a Source that stores nothing would transfer it again.
const hurryAfter = 30 * time.Millisecond

// hurry tells the Source that somebody waits for r now: by a second fetch, which
// shares what the first transfers. The caller holds mu.
func (f *File) hurry(r *request) {
	r.urgent = true
	r.running++
	f.start(func() {
		soon := time.NewTimer(hurryAfter)
		defer soon.Stop()
		select {
		case <-r.done:
			f.end(r, nil, false)
			return
		case <-r.ctx.Done():
			f.end(r, r.ctx.Err(), false)
			return
		case <-soon.C:
		}
		f.fetch(r, blobnet.Stream, time.Now())
	})
}

// fetch gets what r asks for and opens it into its chunk.
func (f *File) fetch(r *request, class blobnet.Class, due time.Time) {
	buf := f.takeSealed()
	got, whole, err := f.transfer(r, class, due, buf)
	if err != nil {
		f.giveSealed(buf)
		f.end(r, fmt.Errorf("getting blob %s: %w", r.chunk.Ref.ID.Short(), err), false)
		return
	}
	defer f.giveSealed(got)
	plain, mine := f.claim(r)
	if !mine {
		return
	}
	ref := r.chunk.Ref
	offset, length := r.span()
	switch {
	case whole:
		var opened []byte
		if opened, err = codec.Open(got[:0], got, ref); err == nil {
			copy(plain[offset:offset+length], opened[offset:])
		}
	case len(got) != length:
		err = fmt.Errorf("blob %s: a part of %d bytes, want %d: %w", ref.ID.Short(), len(got), length, blobnet.ErrCorrupt)
	default:
		_, err = codec.OpenRange(plain[offset:offset:offset+length], got, ref, offset)
	}
	f.end(r, err, true)
}

// transfer returns the part of the blob that r asks for, or the whole.
func (f *File) transfer(r *request, class blobnet.Class, due time.Time, buf []byte) (got []byte, whole bool, err error) {
	ref := r.chunk.Ref
	want := fetch.Want{ID: ref.ID, Tree: ref.Tree, Size: codec.BlobSize(ref), Class: class, Due: due}
	if !r.whole() {
		offset, length := r.span()
		got, err = f.cfg.Source.FetchRange(r.ctx, want, offset, length, buf)
		if errors.Is(err, blobnet.ErrNotFound) && f.cfg.Rebuild != nil {
			got, err = f.cfg.Rebuild.Get(r.ctx, ref.ID, buf)
			return got, true, err
		}
		if !errors.Is(err, blobnet.ErrCorrupt) {
			return got, false, err
		}
		// Proofs also fail when the ref's tree is wrong: let the whole blob
		// decide, which has a hash of its own.
		want.Tree, want.Size = [32]byte{}, 0
	}
	got, err = f.cfg.get(r.ctx, want, buf)
	return got, true, err
}

// get is Fetch, or Rebuild where nobody has the blob.
func (c *Config) get(ctx context.Context, w fetch.Want, dst []byte) ([]byte, error) {
	blob, err := c.Source.Fetch(ctx, w, dst)
	if errors.Is(err, blobnet.ErrNotFound) && c.Rebuild != nil {
		return c.Rebuild.Get(ctx, w.ID, dst)
	}
	return blob, err
}

// claim gives the chunk's plaintext to the first fetch of r that has its bytes.
func (f *File) claim(r *request) (plain []byte, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.claimed {
		r.running--
		return nil, false
	}
	r.claimed = true
	c := r.chunk
	if c.buf == nil {
		c.buf = make([]byte, c.size())
	}
	return c.buf, true
}

// end ends one fetch of r, and r itself if this one has the bytes (mine) or no
// other may still get them.
func (f *File) end(r *request, err error, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.running--; isDone(r) || !mine && r.running > 0 {
		return
	}
	c := r.chunk
	r.err = err
	r.dropped = r.dropped || f.ctx.Err() != nil
	if err == nil {
		c.have.set(r.from, r.to)
		c.refused = false
	} else if !r.dropped {
		c.refused = true
	}
	c.asked.unset(r.from, r.to)
	c.requests = slices.DeleteFunc(c.requests, func(x *request) bool { return x == r })
	close(r.done)
	r.cancel() // the other fetch, if there is one
	f.trim()
}

func isDone(r *request) bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (f *File) takeSealed() []byte {
	if b, ok := f.sealed.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (f *File) giveSealed(b []byte) {
	if cap(b) > 0 {
		f.sealed.Put(&b)
	}
}
