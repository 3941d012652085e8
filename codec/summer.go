package codec

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// Summer hashes a file as somebody reads it, as long as nothing is left out
// from the beginning on. The zero Summer is ready. One goroutine at a time.
type Summer struct {
	sum  hash.Hash
	done int64 // bytes from the beginning that are in sum
}

// Add takes b, which was read at offset. Reading at 0 begins anew; what does not
// follow on what was hashed is passed over.
func (s *Summer) Add(offset int64, b []byte) {
	if s.sum == nil {
		s.sum = sha256.New()
	}
	if offset == 0 {
		s.sum.Reset()
		s.done = 0
	}
	if s.done == offset {
		s.sum.Write(b)
		s.done += int64(len(b))
	}
}

// End returns what a reader at the end of f is to be told: io.EOF, or an error
// that wraps ErrHash if the whole of f was hashed and has another SHA-256.
func (s *Summer) End(f File) error {
	if s.sum == nil {
		s.sum = sha256.New()
	}
	if s.done != int64(f.Size) {
		return io.EOF // not read as a whole
	}
	if got := Hash(s.sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("got %s, want %s: %w", got, f.SHA256, ErrHash)
	}
	return io.EOF
}
