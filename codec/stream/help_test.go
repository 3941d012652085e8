package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
)

// call is one request that a source got.
type call struct {
	fetch.Want
	offset, length int // of a range; 0 and 0 for the whole
	ctx            context.Context
}

type part struct {
	id             blobnet.ID
	offset, length int
}

// source is a stream.Source over a store, which notes what it is asked for.
type source struct {
	blobnet.Source
	before func(call) error // may be nil; called before an answer, may block

	mu    sync.Mutex // guards what follows
	calls []call
	bytes int // given, once for those who ask twice for the same
	twice map[part]bool
}

func (s *source) note(c call) error {
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	if s.before != nil {
		return s.before(c)
	}
	return c.ctx.Err()
}

func (s *source) Fetch(ctx context.Context, w fetch.Want, dst []byte) ([]byte, error) {
	if err := s.note(call{Want: w, ctx: ctx}); err != nil {
		return dst, err
	}
	got, err := s.Get(ctx, w.ID, dst)
	s.gave(part{w.ID, 0, len(got) - len(dst)})
	return got, err
}

func (s *source) FetchRange(ctx context.Context, w fetch.Want, offset, length int, dst []byte) ([]byte, error) {
	if err := s.note(call{w, offset, length, ctx}); err != nil {
		return dst, err
	}
	blob, err := s.Get(ctx, w.ID, nil)
	if err != nil {
		return dst, err
	}
	if w.Size != len(blob) || offset+length > len(blob) {
		return dst, fmt.Errorf("bytes %d to %d of %d, said to be %d", offset, offset+length, len(blob), w.Size)
	}
	s.gave(part{w.ID, offset, length})
	return append(dst, blob[offset:offset+length]...), nil
}

func (s *source) gave(p part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.twice[p] {
		s.twice[p] = true
		s.bytes += p.length
	}
}

// seen returns the calls until now.
func (s *source) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

func (s *source) given() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// newSource returns a source that has a file of size bytes.
func newSource(t testing.TB, size, chunkSize int) (*source, codec.File, []byte) {
	t.Helper()
	plain := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(plain)
	store := memstore.New(memstore.Config{})
	f, err := codec.Encode(t.Context(), bytes.NewReader(plain), store, codec.Config{ChunkSize: chunkSize})
	if err != nil {
		t.Fatal(err)
	}
	return &source{Source: store, twice: make(map[part]bool)}, f, plain
}
