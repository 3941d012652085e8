package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// firstAhead is how much a Reader asks for where it begins, and the least that
// it keeps asked for ahead of it.
const firstAhead = 64 << 10

// Reader reads a File. It implements io.ReadSeeker, io.ReaderAt and io.Closer.
//
// Read, Seek and Close belong to one goroutine at a time, ReadAt to any number,
// also during the rest. A Read elsewhere than where the one before ended cancels
// what was under way for the old place; a Seek alone does nothing, since who
// asks for a length seeks to the end and back. Reading from offset 0 to the end
// without a Seek between also checks the file's SHA-256: codec.ErrHash then
// comes in place of io.EOF.
type Reader struct {
	file  *File
	owned bool // Close closes the file as well
	ctx   context.Context
	stop  context.CancelCauseFunc

	offset int64 // of the next Read
	last   int64 // where the last Read ended, -1 before the first
	begun  int64 // where this run of Reads began
	asked  int64 // up to where it was asked for, guarded by file.mu
	pace   pace
	sum    codec.Summer

	keepFrom, keepTo int64 // what lies between is needed soon; guarded by file.mu
}

// Open returns a Reader of f, alone: its Close ends all that runs for it.
func Open(ctx context.Context, cfg Config, f codec.File) (*Reader, error) {
	file, err := NewFile(cfg, f)
	if err != nil {
		return nil, err
	}
	r := file.NewReader(ctx)
	r.owned = true
	return r, nil
}

// NewReader returns a Reader at offset 0. When ctx ends, its reads fail. Close
// it, or what it had fetched ahead is kept until the File is closed.
func (f *File) NewReader(ctx context.Context) *Reader {
	ctx, stop := context.WithCancelCause(ctx)
	return &Reader{file: f, ctx: ctx, stop: stop, last: -1}
}

// Size returns the length of the file in bytes.
func (r *Reader) Size() int64 { return int64(r.file.file.Size) }

// Close ends reads that wait, and cancels what is fetched for this Reader alone.
// A Reader that Open returned leaves no goroutine behind; those of others end
// soon, at the latest in their File's Close.
func (r *Reader) Close() error {
	r.stop(blobnet.ErrClosed)
	f := r.file
	f.mu.Lock()
	delete(f.readers, r)
	f.trim()
	f.mu.Unlock()
	if r.owned {
		return f.Close()
	}
	return nil
}

// Seek implements io.Seeker. It does no I/O.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.Size()
	default:
		return 0, fmt.Errorf("seeking: whence %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("seeking: negative offset")
	}
	r.offset = offset
	return offset, nil
}

// Read implements io.Reader. It returns what is there as soon as there is
// something, which may be less than p takes.
func (r *Reader) Read(p []byte) (int, error) {
	if r.offset >= r.Size() {
		return 0, r.sum.End(r.file.file)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.read(p)
	r.sum.Add(r.offset, p[:n])
	r.offset += int64(n)
	r.last = r.offset
	r.pace.add(n, time.Now())
	if err != nil {
		return n, r.wrap(r.offset, err)
	}
	return n, nil
}

func (r *Reader) wrap(off int64, err error) error {
	return fmt.Errorf("reading at offset %d: %w", off, err)
}

func (r *Reader) read(p []byte) (int, error) {
	if r.offset != r.last {
		r.begun = r.offset
		r.pace = pace{begun: time.Now()}
	}
	if _, err := r.file.locate(r.ctx, r.offset); err != nil {
		return 0, err
	}
	until := r.file.plan(r)
	return r.file.read(r.ctx, p, r.offset, until)
}

// pace measures how fast a Reader's caller reads, over about the last five
// seconds.
type pace struct {
	begun time.Time // of what is counted in bytes
	bytes int64
	rate  float64 // bytes per second before begun; 0 if unknown
}

const paceOver = 5 * time.Second

func (p *pace) add(n int, now time.Time) {
	p.bytes += int64(n)
	elapsed := now.Sub(p.begun)
	if elapsed < time.Second {
		return
	}
	latest := float64(p.bytes) / elapsed.Seconds()
	weight := min(1, elapsed.Seconds()/paceOver.Seconds())
	if p.rate == 0 {
		weight = 1
	}
	*p = pace{begun: now, rate: p.rate + weight*(latest-p.rate)}
}

// perSecond returns the rate in bytes per second, a guess in the first second.
func (p *pace) perSecond(now time.Time) float64 {
	if p.rate > 0 {
		return p.rate
	}
	return float64(p.bytes) / max(now.Sub(p.begun), 100*time.Millisecond).Seconds()
}
