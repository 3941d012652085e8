package stream

import (
	"time"

	"github.com/anonymous-media-library/aml/codec"
)

// plan asks for what r will need soon, and says up to which offset that is. What
// is needed begins with firstAhead where r began to read, and is always twice
// as much as r has read since, up to Config.Ahead of its rate. While that is
// less than a chunk, parts of chunks are asked for; then whole ones.
func (f *File) plan(r *Reader) (until int64) {
	now := time.Now()
	rate := r.pace.perSecond(now)
	most := max(int64(f.cfg.MinAhead), min(int64(f.cfg.MaxAhead), int64(rate*f.cfg.Ahead.Seconds())))
	width := max(firstAhead, min(2*(r.offset-r.begun), most))
	until = min(r.offset+width, r.Size())

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || r.ctx.Err() != nil {
		return until
	}
	jumped := r.offset != r.last
	r.keepFrom, r.keepTo = r.offset, until
	f.readers[r] = struct{}{}
	if jumped {
		f.trim()
	}
	if !jumped && r.asked-r.offset >= width/2 && r.asked < until && width < codec.DefaultChunkSize {
		return until // not a request for every Read
	}
	for off := r.offset; off < until; {
		at, ok := f.locator.Peek(uint64(off))
		if !ok {
			f.indexAhead(off)
			return until
		}
		end := int64(at.Offset) + int64(at.Ref.Size)
		if off == r.offset || f.chunks[at.Offset] != nil || f.held+int(at.Ref.Size) <= f.cfg.Memory {
			c := f.chunk(at)
			to := c.all()
			if width < int64(at.Ref.Size) {
				to = (int(min(until, end)-int64(c.Offset)) + group - 1) / group
			}
			r.asked = int64(c.Offset) + int64(to)*group
			r.askFor(c, int(off-int64(c.Offset))/group, to, now, rate)
		}
		off = end
	}
	return until
}

// askFor asks for the groups of c from from to before to that are missing. The
// caller holds file.mu.
func (r *Reader) askFor(c *chunk, from, to int, now time.Time, rate float64) {
	for {
		start, end, ok := c.missing(from, to)
		if !ok {
			return
		}
		distance := max(0, int64(c.Offset)+int64(start*group)-r.offset)
		urgent := distance == 0
		if c.refused && !urgent {
			return
		}
		due := now
		if rate > 0 {
			due = now.Add(time.Duration(min(float64(distance)/rate, 3600) * float64(time.Second)))
		}
		r.file.ask(c, start, end, urgent, due)
		from = end
	}
}

// indexAhead gets the index blobs on the way to off, so that a later plan can go
// on there. The caller holds mu.
func (f *File) indexAhead(off int64) {
	if f.indexing {
		return
	}
	f.indexing = true
	f.start(func() {
		_, _ = f.locator.At(f.ctx, uint64(off)) // who reads there sees the error
		f.mu.Lock()
		f.indexing = false
		f.mu.Unlock()
	})
}
