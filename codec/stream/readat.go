package stream

import (
	"fmt"
	"io"
	"time"
)

// atOnce bounds the bytes that one ReadAt asks for before it has any.
const atOnce = 4 << 20

// ReadAt implements io.ReaderAt. It asks for what p takes, in parts of 16 KiB,
// and for more only if it goes on where another ReadAt ended: at first 64 KiB,
// then twice as much every time, up to the end of the chunk.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("reading at offset %d: negative", off)
	}
	if off >= r.Size() {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.Size()-off)]
	until := r.file.widen(off, off+int64(len(want)))
	for n < len(want) {
		at := off + int64(n)
		if _, err = r.file.locate(r.ctx, at); err != nil {
			return n, r.wrap(at, err)
		}
		held := r.file.hold(at, min(at+atOnce, off+int64(len(want))))
		m, err := r.file.read(r.ctx, want[n:], at, until)
		r.file.release(held)
		if n += m; err != nil {
			return n, r.wrap(at, err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// widen returns up to where a ReadAt of what lies from off to before end is to
// ask.
func (f *File) widen(off, end int64) (until int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.tails {
		t := &f.tails[i]
		if t.width > 0 && t.end == off {
			until = max(end, off+t.width)
			*t = tail{end: end, width: min(2*t.width, 2<<20)}
			return until
		}
	}
	f.tails[f.oldest] = tail{end: end, width: firstAhead}
	f.oldest = (f.oldest + 1) % len(f.tails)
	return end
}

// hold asks for the chunks behind that of off which begin before end, if the
// index blobs for it are here, and keeps them until release.
func (f *File) hold(off, end int64) (held []*chunk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed {
		at, ok := f.locator.Peek(uint64(off))
		if ok && int64(at.Offset) > off { // cannot be
			break
		}
		if off = int64(at.Offset + at.Ref.Size); !ok || off >= end {
			break
		}
		if at, ok = f.locator.Peek(uint64(off)); !ok {
			break
		}
		c := f.chunk(at)
		c.users++
		held = append(held, c)
		to := (int(min(end-off, int64(c.size()))) + group - 1) / group
		for {
			from, until, some := c.missing(0, to)
			if !some {
				break
			}
			f.ask(c, from, until, true, time.Now())
		}
	}
	return held
}

func (f *File) release(held []*chunk) {
	if len(held) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range held {
		c.users--
	}
	f.trim()
}
