package codec

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Putter takes the blobs that Encode makes; every blobnet.Store is one. Put is
// called from many goroutines at once, in no particular order, and must not
// keep blob after it returns. If it is a blobnet.VerifiedPutter as well, that
// is called in place of Put, because every blob has just been hashed here.
type Putter interface {
	Put(ctx context.Context, id blobnet.ID, blob []byte) error
}

// put puts a blob whose SHA-256 has just been computed to be id.
func put(ctx context.Context, dst Putter, id blobnet.ID, blob []byte) error {
	if v, ok := dst.(blobnet.VerifiedPutter); ok {
		return v.PutVerified(ctx, id, blob)
	}
	return dst.Put(ctx, id, blob)
}

// ChunkPutter is a Putter that wants to know of chunks what they are: it gets
// them by PutChunk, and only index blobs by Put. offset is where the plaintext,
// ref.Size bytes, begins in the input. The rules are those of Put; the blob was
// just hashed.
type ChunkPutter interface {
	Putter
	PutChunk(ctx context.Context, ref Ref, offset uint64, blob []byte) error
}

// putChunk puts the blob of a chunk whose ref was just made.
func putChunk(ctx context.Context, dst Putter, ref Ref, offset uint64, blob []byte) error {
	if c, ok := dst.(ChunkPutter); ok {
		return c.PutChunk(ctx, ref, offset, blob)
	}
	return put(ctx, dst, ref.ID, blob)
}

// Config says how a file is cut and sealed. The zero Config is good.
type Config struct {
	// ChunkSize is in bytes of plaintext; if zero, DefaultChunkSize. A power
	// of two from MinChunkSize to MaxChunkSize.
	ChunkSize int

	// Workers is how many chunks are sealed, hashed and put at once; if zero,
	// three times GOMAXPROCS, since a Put waits for the disk most of its time,
	// but at most 16: beyond that the one sequential step, the SHA-256 of the
	// plaintext, is what everything waits for. Encode holds at most Workers+4
	// chunks in memory.
	Workers int

	// Erasure computes parity blobs, which are put like the others; if nil,
	// there are none. With it Encode holds, beside its chunks, the parity of
	// at most 4 + (Workers+4)/k stripes of k: Coding().Parity blobs each.
	Erasure Eraser

	// Rand gives the keys; if nil, crypto/rand. It is read by one goroutine
	// at a time and in an order that only the length of the input decides, so
	// that a test with a fixed Rand gets fixed blobs. Whoever can predict it
	// can read the file.
	Rand io.Reader
}

func (c Config) validate() (Config, error) {
	if c.ChunkSize == 0 {
		c.ChunkSize = DefaultChunkSize
	}
	if c.ChunkSize < 0 || !validChunkSize(uint64(c.ChunkSize)) {
		return c, fmt.Errorf("chunk size %d is no power of two from %d to %d", c.ChunkSize, MinChunkSize, MaxChunkSize)
	}
	if c.Erasure != nil {
		coding := c.Erasure.Coding()
		if err := coding.Validate(); err != nil || coding.IsZero() {
			return c, fmt.Errorf("erasure coding %v: %w", coding, errors.Join(err, ErrCoding))
		}
	}
	if c.Workers < 0 {
		return c, fmt.Errorf("%d workers", c.Workers)
	}
	if c.Workers == 0 {
		c.Workers = min(3*runtime.GOMAXPROCS(0), 16)
	}
	return c, nil
}

// Encode reads r to its end, puts the blobs of the file into dst, and returns
// what opens them. Memory is constant, whatever the length; reading, hashing,
// sealing and putting overlap on all cores.
//
// The first error ends it and is returned; blobs put by then stay in dst, and
// mean nothing. When ctx ends, Encode returns an error that wraps ctx.Err(),
// though not before a Read that is under way returns: to interrupt one, close
// what r reads from. No goroutine outlives the call, and r, dst and the blobs'
// memory are not touched after it.
func Encode(ctx context.Context, r io.Reader, dst Putter, cfg Config) (File, error) {
	return encode(ctx, r, dst, cfg, MaxRefs)
}

func encode(ctx context.Context, r io.Reader, dst Putter, cfg Config, maxRefs int) (File, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return File{}, fmt.Errorf("encoding: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return File{}, fmt.Errorf("encoding: %w", err)
	}
	first, last, err := readFirst(r, cfg.ChunkSize)
	if err != nil {
		return File{}, fmt.Errorf("encoding: reading the input: %w", err)
	}
	if !last || cfg.Erasure != nil {
		if last {
			cfg.Workers = 1
			for cfg.ChunkSize/2 >= max(len(first), MinChunkSize) {
				cfg.ChunkSize /= 2 // no large buffers for a small file
			}
		}
		p := newPipeline(r, dst, cfg, maxRefs)
		return p.run(ctx, first, last)
	}
	// Most files of a folder are small: one chunk needs no goroutine.
	file := File{Size: uint64(len(first)), SHA256: sha256.Sum256(first)}
	key, err := NewKey(cfg.Rand)
	if err != nil {
		return File{}, fmt.Errorf("encoding: %w", err)
	}
	blob := sealInPlace(first, key)
	file.Root = MakeRef(blob, key, file.Size)
	if err := putChunk(ctx, dst, file.Root, 0, blob); err != nil {
		return File{}, fmt.Errorf("encoding: putting blob %s: %w", file.Root.ID.Short(), err)
	}
	return file, nil
}

// readFirst reads the first chunk into a buffer with room to seal it in place,
// and reports whether the input ends in it. It does not allocate a whole chunk
// for an input that is shorter.
func readFirst(r io.Reader, chunkSize int) (chunk []byte, last bool, err error) {
	for size := MinChunkSize; ; size = chunkSize {
		buf := make([]byte, PaddedSize(size)+Overhead)
		have := copy(buf, chunk)
		n, err := fill(r, buf[have:size])
		chunk = buf[:have+n]
		if err == io.EOF {
			return chunk, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if size == chunkSize {
			return chunk, false, nil
		}
	}
}

// fill reads until buf is full or the input ends. io.EOF means the end, with n
// bytes before it. Other than io.ReadFull it never takes the input's own
// io.ErrUnexpectedEOF, say of a cut download, for the end.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf); {
		m, err := r.Read(buf[n:])
		if m < 0 || m > len(buf)-n {
			return n, errors.New("Read returned an impossible count")
		}
		n += m
		if err != nil {
			if n == len(buf) && err == io.EOF {
				return n, nil // the next call finds the end again
			}
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
