package stream

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/codec"
)

// File is one file that several Readers read at once. All methods may be called
// from many goroutines.
type File struct {
	cfg     Config
	file    codec.File
	locator *codec.Locator
	ctx     context.Context // of all that runs for the File
	cancel  context.CancelFunc
	running sync.WaitGroup
	sealed  sync.Pool // of *[]byte: sealed bytes on their way

	mu       sync.Mutex // guards what follows, and every chunk and request; never held across I/O
	closed   bool
	chunks   map[uint64]*chunk // by offset in the file
	order    list.List         // of *chunk, the one used last first
	held     int               // bytes of all chunks
	readers  map[*Reader]struct{}
	indexing bool    // an index blob is being got ahead of its use
	tails    [4]tail // of what ReadAts read last
	oldest   int     // which of tails goes next
}

// tail is where a run of ReadAts ended, and how much the next is to be widened.
type tail struct{ end, width int64 }

// NewFile returns a File of f. It does no I/O, and what is wrong with f comes
// out of the first read. Close it.
func NewFile(cfg Config, f codec.File) (*File, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("opening a file to stream: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	file := &File{cfg: cfg, file: f, ctx: ctx, cancel: cancel, chunks: make(map[uint64]*chunk), readers: make(map[*Reader]struct{})}
	file.locator = codec.NewLocator(indexSource{cfg}, f)
	return file, nil
}

// indexSource is where index blobs come from: as soon as can be, since nothing
// is known before they are here.
type indexSource struct{ cfg Config }

func (s indexSource) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	w := fetch.Want{ID: id, Class: blobnet.Stream, Due: time.Now()}
	return s.cfg.get(ctx, w, dst)
}

// Close ends all reads with blobnet.ErrClosed and returns when nothing that the
// File started runs any more.
func (f *File) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.running.Wait()
	return nil
}

// start runs fn in a goroutine that Close waits for, unless it was called. The
// caller holds mu.
func (f *File) start(fn func()) {
	if !f.closed {
		f.running.Go(fn)
	}
}

// locate returns the chunk at off, which is in the file.
func (f *File) locate(ctx context.Context, off int64) (codec.Chunk, error) {
	if c, ok := f.locator.Peek(uint64(off)); ok {
		return c, nil
	}
	type found struct {
		codec.Chunk
		error
	}
	result := make(chan found, 1)
	f.mu.Lock()
	f.start(func() {
		c, err := f.locator.At(f.ctx, uint64(off))
		result <- found{c, err}
	})
	f.mu.Unlock()
	select {
	case r := <-result:
		if r.error != nil && f.ctx.Err() != nil {
			return codec.Chunk{}, blobnet.ErrClosed
		}
		return r.Chunk, r.error
	case <-ctx.Done():
		return codec.Chunk{}, context.Cause(ctx)
	case <-f.ctx.Done():
		return codec.Chunk{}, blobnet.ErrClosed
	}
}

// read copies to p what is there at off, at least a byte, and waits for it if
// need be. It asks for the bytes up to before until of that chunk, if nobody
// has.
func (f *File) read(ctx context.Context, p []byte, off, until int64) (int, error) {
	at, err := f.locate(ctx, off)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.chunk(at)
	c.users++
	defer func() {
		c.users--
		f.trim()
	}()
	in := int(off - int64(c.Offset))
	for {
		if f.closed {
			return 0, blobnet.ErrClosed
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if n := min(c.here(in), len(p)); n > 0 {
			f.order.MoveToFront(c.place)
			f.mu.Unlock()
			copy(p[:n], c.buf[in:])
			f.mu.Lock()
			return n, nil
		}
		r := c.requestOf(in / group)
		if r == nil {
			to := (min(c.size(), int(until-int64(c.Offset))) + group - 1) / group
			from, to, _ := c.missing(in/group, max(to, in/group+1))
			r = f.ask(c, from, to, true, time.Now())
		} else if !r.urgent && !r.claimed {
			f.hurry(r)
		}
		if err := f.await(ctx, r); err != nil {
			return 0, err
		}
	}
}

// await waits for r without holding mu, which the caller holds. An error of a
// request that was cancelled is none: the caller asks again.
func (f *File) await(ctx context.Context, r *request) error {
	r.waiters++
	f.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
	case <-f.ctx.Done():
	}
	f.mu.Lock()
	r.waiters--
	select {
	case <-r.done:
		if r.err != nil && !r.dropped {
			return r.err
		}
	default:
	}
	return nil
}

// chunk returns what is known of the chunk at. The caller holds mu.
func (f *File) chunk(at codec.Chunk) *chunk {
	c := f.chunks[at.Offset]
	if c == nil {
		c = &chunk{Chunk: at}
		c.place = f.order.PushFront(c)
		f.chunks[at.Offset] = c
		f.held += c.size()
	}
	return c
}

// trim cancels the requests that nobody needs any more, and forgets the chunks
// that are too many. The caller holds mu.
func (f *File) trim() {
	kept := 0
	for e := f.order.Front(); e != nil; {
		c := e.Value.(*chunk)
		e = e.Next()
		needed := c.users > 0 || f.ahead(c)
		if !needed {
			for _, r := range c.requests {
				r.dropped = true
				r.cancel()
			}
		}
		if needed || len(c.requests) > 0 {
			continue
		}
		if c.buf != nil {
			if kept += c.size(); kept <= f.cfg.Cache {
				continue
			}
		}
		f.order.Remove(c.place)
		delete(f.chunks, c.Offset)
		f.held -= c.size()
	}
}

// ahead reports whether c lies where a Reader is or will soon be.
func (f *File) ahead(c *chunk) bool {
	for r := range f.readers {
		if int64(c.Offset) < r.keepTo && int64(c.Offset)+int64(c.size()) > r.keepFrom {
			return true
		}
	}
	return false
}
