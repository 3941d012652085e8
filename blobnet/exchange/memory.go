package exchange

import (
	"context"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// perPeerBuffers is how many blobs may be in memory for one peer: for each of
// two streams one being sent and one being read from the store.
const perPeerBuffers = 4

// buffers lends memory for blobs to be sent: so many in all, so many to one
// peer. A quarter is kept for the first blob of peers that have none, and what
// becomes free goes to whoever has least, so that those who take much, or are
// slow, do not keep others from being served.
type buffers struct {
	pool sync.Pool // of *[]byte with length 0
	max  int

	mu      sync.Mutex // guards what follows, and held and waiting of every borrower
	lent    int
	waiting []*claim // the first come first
}

// borrower is what one peer has of the memory.
type borrower struct {
	held int
}

// claim is one who waits for memory.
type claim struct {
	by  *borrower
	got chan struct{} // closed when it has the memory
}

func newBuffers(bytes int) *buffers { return &buffers{max: bytes / blobnet.MaxBlobSize} }

// room reports whether by may have one more. b.mu is held.
func (b *buffers) room(by *borrower) bool {
	limit := b.max
	if by.held > 0 {
		limit -= b.max / 4
	}
	return b.lent < limit && by.held < perPeerBuffers
}

// try is borrow where nobody has to wait.
func (b *buffers) try(by *borrower) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok := len(b.waiting) == 0 && b.room(by)
	if ok {
		by.held++
		b.lent++
	}
	return ok
}

// borrow waits for memory for one batch until ctx ends, and reports whether it
// got it. Everything lent is wanted back with giveBack.
func (b *buffers) borrow(ctx context.Context, by *borrower) bool {
	b.mu.Lock()
	c := &claim{by: by, got: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.share()
	b.mu.Unlock()
	select {
	case <-c.got:
		return true
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, c)
	if i < 0 {
		return true // it came at the last moment
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return false
}

func (b *buffers) giveBack(by *borrower) {
	b.mu.Lock()
	defer b.mu.Unlock()
	by.held--
	b.lent--
	b.share()
}

// share lends what is free to those who wait, first to those who have least.
// There are no more of them than streams. b.mu is held.
func (b *buffers) share() {
	for {
		best := -1
		for i, c := range b.waiting {
			if b.room(c.by) && (best < 0 || c.by.held < b.waiting[best].by.held) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		c := b.waiting[best]
		b.waiting = slices.Delete(b.waiting, best, best+1)
		c.by.held++
		b.lent++
		close(c.got)
	}
}

// scarce reports whether somebody waits because of what others have.
func (b *buffers) scarce() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.waiting, func(c *claim) bool { return c.by.held < perPeerBuffers })
}

// get returns an empty buffer. The caller has borrowed the memory for it.
func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	// Most blobs are a sealed chunk of 1 MiB; there may be small ones before it.
	buf := make([]byte, 0, 1<<20+64<<10)
	return &buf
}

func (b *buffers) put(p *[]byte) {
	*p = (*p)[:0]
	b.pool.Put(p)
}
