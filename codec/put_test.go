package codec

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// trusting is a store that does not hash again what was hashed.
type trusting struct {
	blobs
	verified atomic.Int64
}

func (s *trusting) Put(context.Context, blobnet.ID, []byte) error {
	return errors.New("a blob is hashed twice")
}

func (s *trusting) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	s.verified.Add(1)
	return s.blobs.Put(ctx, id, blob) // which checks the claim
}

func TestStoreThatTrustsTheHashIsNotMadeToComputeItAgain(t *testing.T) {
	s := &trusting{blobs: blobs{m: make(map[blobnet.ID][]byte)}}
	for _, size := range []int{0, 1000, 3*MinChunkSize + 5} {
		plain := make([]byte, size)
		rand.Read(plain)
		f, err := Encode(t.Context(), bytes.NewReader(plain), s, Config{ChunkSize: MinChunkSize})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := NewReader(t.Context(), &s.blobs, f).WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), plain) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if n := s.verified.Load(); n != 1+1+5 {
		t.Errorf("%d blobs", n)
	}
	if _, err := SealTo(t.Context(), s, []byte("body"), nil); err != nil {
		t.Error(err)
	}
	if _, err := EncodeInventory(t.Context(), s, []blobnet.ID{{1}}); err != nil {
		t.Error(err)
	}
}
