package codec

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// blobs is a blobnet.Source and a Putter in memory, which can be made hostile.
type blobs struct {
	mu   sync.Mutex // guards all below
	m    map[blobnet.ID][]byte
	puts []blobnet.ID // in order of Put
	gets int
}

func newBlobs() *blobs { return &blobs{m: make(map[blobnet.ID][]byte)} }

func (b *blobs) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(blob) > blobnet.MaxBlobSize {
		return blobnet.ErrTooLarge
	}
	if blobnet.Sum(blob) != id {
		return blobnet.ErrCorrupt
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m[id] = append([]byte(nil), blob...)
	b.puts = append(b.puts, id)
	return nil
}

func (b *blobs) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gets++
	blob, ok := b.m[id]
	if !ok {
		return nil, fmt.Errorf("%s: %w", id.Short(), blobnet.ErrNotFound)
	}
	return append(dst, blob...), nil
}

// putIndex seals and puts an index blob with whatever it is told.
func (b *blobs) putIndex(level int, refs []Ref, size uint64) Ref {
	plain, err := index{refs: refs}.encode(level)
	if err != nil {
		panic(err)
	}
	return b.putPlain(plain, size)
}

func (b *blobs) putPlain(plain []byte, size uint64) Ref {
	ref, err := SealTo(context.Background(), b, plain, nil)
	if err != nil {
		panic(err)
	}
	ref.Size = size
	return ref
}

// stream is the test vectors' source of bytes, for plaintexts and for keys:
// SHA-256(label || n as 8 bytes, big endian) for n = 0, 1, ... in a row.
type stream struct {
	label string
	next  uint64
	left  []byte
}

func (s *stream) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(s.left) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.label), s.next))
			s.next++
			s.left = sum[:]
		}
		m := copy(p[n:], s.left)
		n, s.left = n+m, s.left[m:]
	}
	return n, nil
}

func testKeys() io.Reader { return &stream{label: "aml test key"} }

func testPlain(size int) []byte {
	p := make([]byte, size)
	io.ReadFull(&stream{label: "aml test plaintext"}, p)
	return p
}

// slice reads an iterator to its end or error.
func slice[T any](seq func(func(T, error) bool)) (all []T, err error) {
	for v, e := range seq {
		if err != nil {
			return all, errors.New("something followed an error")
		}
		if e != nil {
			err = e
			continue
		}
		all = append(all, v)
	}
	return all, err
}
