package codec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// cachedChunks is how many chunks a Reader keeps opened beside what is being
// read: at most 8 MiB. Its Locator keeps 1 MiB of index blobs.
const cachedChunks = 4

// Reader reads a file out of its blobs, from any offset, and loads only what
// it must. Every byte it returns was authenticated by the File's root. Reading
// from offset 0 to the end without a Seek between, by Read, WriteTo or both,
// also checks the file's SHA-256: ErrHash then comes in place of the end.
//
// It implements io.ReaderAt, io.ReadSeeker and io.WriterTo. ReadAt may be
// called from many goroutines, also during the rest; Read, Seek and WriteTo
// share an offset and belong to one goroutine at a time. Two that want parts of
// one chunk cause one Get; who reads a whole chunk gets it for himself, past the
// cache. A Reader needs no closing.
type Reader struct {
	ctx     context.Context
	locator *Locator
	tree    *tree // the locator's
	err     error // what is wrong with the File
	chunks  *cache[uint64, []byte]
	blobs   sync.Pool // of []byte in a *[]byte: sealed blobs, or chunks opened in place

	offset int64
	sum    Summer
}

// NewReader returns a Reader of f that gets blobs from src. It does no I/O;
// what is wrong with f comes out of the first read. When ctx ends, reads fail.
func NewReader(ctx context.Context, src blobnet.Source, f File) *Reader {
	return newReader(ctx, src, f, MaxRefs)
}

func newReader(ctx context.Context, src blobnet.Source, f File, maxRefs uint64) *Reader {
	l := newLocator(src, f, maxRefs)
	r := &Reader{ctx: ctx, locator: l, tree: &l.tree, err: l.err}
	r.chunks = newCache[uint64](cachedChunks, r.giveBuffer)
	return r
}

// Size returns the length of the file in bytes, as the File states it.
func (r *Reader) Size() int64 { return int64(r.tree.file.Size) }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	if off < 0 {
		return 0, fmt.Errorf("reading at offset %d: negative", off)
	}
	if off >= r.Size() {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.Size()-off)]
	for n < len(want) {
		m, err := r.readChunk(want[n:], uint64(off)+uint64(n))
		if n += m; err != nil {
			return n, fmt.Errorf("reading at offset %d: %w", off+int64(n), err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readChunk reads into p what one chunk has from off on.
func (r *Reader) readChunk(p []byte, off uint64) (int, error) {
	chunk, err := r.locator.At(r.ctx, off)
	if err != nil {
		return 0, err
	}
	size := chunk.Ref.Size
	e := r.chunks.peek(chunk.Offset)
	if e == nil && off == chunk.Offset && uint64(len(p)) >= size && uint64(PaddedSize(int(size))) == size {
		return int(size), r.open(p[:0:size], chunk.Ref) // the whole of it: no need to keep a copy
	}
	if e == nil {
		e, err = r.chunks.get(chunk.Offset, func() ([]byte, error) { return r.loadChunk(chunk.Ref) })
		if err != nil {
			return 0, err
		}
	}
	defer r.chunks.put(e)
	return copy(p, e.value[off-chunk.Offset:]), nil
}

// open opens a full chunk into dst.
func (r *Reader) open(dst []byte, ref Ref) error {
	blob, err := r.getBlob(r.ctx, ref, r.takeBuffer())
	if err == nil {
		_, err = Open(dst, blob, ref)
	}
	r.giveBuffer(blob)
	return err
}

// loadChunk returns the plaintext of a chunk in a buffer of r's.
func (r *Reader) loadChunk(ref Ref) ([]byte, error) {
	blob, err := r.getBlob(r.ctx, ref, r.takeBuffer())
	if err != nil {
		return nil, err
	}
	return Open(blob[:0], blob, ref)
}

func (r *Reader) getBlob(ctx context.Context, ref Ref, buf []byte) ([]byte, error) {
	blob, err := r.tree.src.Get(ctx, ref.ID, buf)
	if err != nil {
		return nil, fmt.Errorf("getting blob %s: %w", ref.ID.Short(), err)
	}
	return blob, nil
}

func (r *Reader) takeBuffer() []byte {
	if b, ok := r.blobs.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (r *Reader) giveBuffer(b []byte) {
	if cap(b) > 0 {
		r.blobs.Put(&b)
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.offset >= r.Size() {
		return 0, r.sum.End(r.tree.file)
	}
	n, err := r.ReadAt(p, r.offset)
	r.advance(p[:n])
	if err == io.EOF {
		err = nil // the next call says so, having checked the hash
	}
	return n, err
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

// advance moves over b, which was read at the offset.
func (r *Reader) advance(b []byte) {
	r.sum.Add(r.offset, b)
	r.offset += int64(len(b))
}
