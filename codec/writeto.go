package codec

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// ahead is a chunk that WriteTo loads before its turn.
type ahead struct {
	chunk Chunk
	ready chan struct{} // closed when plain and err are set
	plain []byte
	err   error
}

// WriteTo implements io.WriterTo: it writes the file from the offset to the
// end, while the next few chunks are got and opened on all cores. At the end
// the SHA-256 was checked, if the offset was 0. No goroutine outlives it.
func (r *Reader) WriteTo(w io.Writer) (written int64, err error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.offset < r.Size() {
		if written, err = r.writeRest(w); err != nil {
			return written, err
		}
	}
	if err := r.sum.End(r.tree.file); err != io.EOF {
		return written, err
	}
	return written, nil
}

func (r *Reader) writeRest(w io.Writer) (written int64, err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	var loads sync.WaitGroup
	defer loads.Wait()
	defer cancel()

	window := min(runtime.GOMAXPROCS(0)+1, 8)
	slots := make(chan struct{}, window) // one for each chunk in memory
	queue := make(chan *ahead, window+1) // in file order; room for all slots and an error, so that sends never block
	loads.Go(func() {
		defer close(queue)
		for chunk, err := range r.tree.chunks(ctx, uint64(r.offset)) {
			a := &ahead{chunk: chunk, err: err, ready: make(chan struct{})}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				a.err = ctx.Err()
			}
			queue <- a
			if a.err != nil {
				close(a.ready)
				return
			}
			loads.Go(func() {
				defer close(a.ready)
				a.load(ctx, r)
			})
		}
	})
	for a := range queue {
		<-a.ready
		if a.err != nil {
			return written, fmt.Errorf("reading at offset %d: %w", r.offset, a.err)
		}
		part := a.plain[uint64(r.offset)-a.chunk.Offset:]
		n, err := w.Write(part)
		written += int64(n)
		r.advance(part[:n])
		if err == nil && n < len(part) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, fmt.Errorf("writing at offset %d: %w", r.offset, err)
		}
		r.giveBuffer(a.plain)
		<-slots
	}
	return written, nil
}

func (a *ahead) load(ctx context.Context, r *Reader) {
	blob, err := r.getBlob(ctx, a.chunk.Ref, r.takeBuffer())
	if err == nil {
		a.plain, err = Open(blob[:0], blob, a.chunk.Ref)
	}
	a.err = err
}
