package stream

import (
	"container/list"
	"context"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// group is in what units a chunk is fetched and known: what Bao verifies.
const group = blobnet.RangeAlign

// groups is a set of the groups of one chunk, which are at most 128.
type groups [codec.MaxChunkSize / group / 64]uint64

func (g *groups) has(i int) bool { return g[i/64]&(1<<(i%64)) != 0 }

func (g *groups) set(from, to int) {
	for i := from; i < to; i++ {
		g[i/64] |= 1 << (i % 64)
	}
}

func (g *groups) unset(from, to int) {
	for i := from; i < to; i++ {
		g[i/64] &^= 1 << (i % 64)
	}
}

// chunk is one chunk that is here in part. All but what lies in buf under have
// is guarded by File.mu; that is never written again while users is not 0.
type chunk struct {
	codec.Chunk
	buf      []byte // plaintext, allocated when the first request ends well
	have     groups // which are in buf
	asked    groups // which a request is under way for
	requests []*request
	users    int           // reads that wait for it or copy from it
	refused  bool          // fetching it ahead failed: it is asked for again by who reads it
	place    *list.Element // in File.order
}

func (c *chunk) size() int { return int(c.Ref.Size) }

// all is how many groups the chunk has.
func (c *chunk) all() int { return (c.size() + group - 1) / group }

// here returns how many bytes from off on, an offset in the chunk, are there.
func (c *chunk) here(off int) int {
	i := off / group
	for i < c.all() && c.have.has(i) {
		i++
	}
	return max(0, min(i*group, c.size())-off)
}

// missing returns the first run of groups from from on and before to that are
// neither there nor asked for, or false.
func (c *chunk) missing(from, to int) (start, end int, ok bool) {
	gone := func(i int) bool { return !c.have.has(i) && !c.asked.has(i) }
	for start = from; start < to && !gone(start); start++ {
	}
	for end = start; end < to && gone(end); end++ {
	}
	return start, end, start < end
}

// requestOf returns the request under way that covers group i, or nil.
func (c *chunk) requestOf(i int) *request {
	for _, r := range c.requests {
		if r.from <= i && i < r.to {
			return r
		}
	}
	return nil
}

// request is one run of groups that was asked for. Guarded by File.mu.
type request struct {
	chunk    *chunk
	from, to int
	urgent   bool // somebody waits for it, and the Source was told so
	waiters  int
	running  int  // fetches of it: a second one if it became urgent
	claimed  bool // one of them has the bytes
	dropped  bool // nobody needed it any more
	ctx      context.Context
	cancel   context.CancelFunc
	done     chan struct{} // closed at the end, when err is set
	err      error
}

// span returns where in the chunk the request's bytes lie.
func (r *request) span() (offset, length int) {
	return r.from * group, min(r.to*group, r.chunk.size()) - r.from*group
}

// whole reports whether the request is for all of the chunk.
func (r *request) whole() bool { return r.from == 0 && r.to == r.chunk.all() }
