package subscriber

import (
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/anonymous-media-library/aml/codec"
)

// keptLimit is how many bytes of chunks that came early wait in memory for
// those before them. What is over it is read back from the file.
const keptLimit = 8 << 20

// inorder computes the SHA-256 of a file whose parts come in any order, each
// once. Whoever brings the part that is next hashes it and what follows it, so
// that nobody waits for another.
type inorder struct {
	size uint64
	file io.ReaderAt // holds every part that was added

	mu      sync.Mutex // guards what follows; not held while hashing
	next    uint64     // where the hashed part of the file ends
	pending map[uint64]part
	kept    int  // bytes in pending
	hashing bool // somebody does; sum is theirs

	sum hash.Hash
}

// part is a run of the file, in memory or only in the file.
type part struct {
	size uint64
	data []byte
}

// has reports whether the part at offset was added. Of a part that is being
// added it may say either.
func (o *inorder) has(offset uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.pending[offset]
	return ok || offset < o.next
}

// add takes in a part that is in the file already. data becomes its own, and
// goes back through free. It reports whether the file is complete; that is said
// once.
func (o *inorder) add(offset uint64, data []byte, free func([]byte)) (complete bool, err error) {
	o.mu.Lock()
	if o.sum == nil {
		o.sum, o.pending = sha256.New(), map[uint64]part{}
	}
	p := part{uint64(len(data)), data}
	if offset != o.next && o.kept+len(data) > keptLimit {
		p.data = nil
		defer free(data)
	}
	o.kept += len(p.data)
	o.pending[offset] = p
	if o.hashing {
		o.mu.Unlock()
		return false, nil
	}
	o.hashing = true
	for {
		p, ok := o.pending[o.next]
		if !ok {
			o.hashing = false
			o.mu.Unlock()
			return false, nil
		}
		delete(o.pending, o.next)
		o.kept -= len(p.data)
		from := o.next
		o.mu.Unlock()

		err = o.hash(from, p)
		if p.data != nil {
			free(p.data)
		}

		o.mu.Lock()
		o.next += p.size
		if err != nil || o.next == o.size {
			o.hashing = false
			o.mu.Unlock()
			return err == nil, err
		}
	}
}

func (o *inorder) hash(from uint64, p part) error {
	if p.data != nil || p.size == 0 {
		o.sum.Write(p.data)
		return nil
	}
	_, err := io.Copy(o.sum, io.NewSectionReader(o.file, int64(from), int64(p.size)))
	return err
}

// result is the hash, once the file is complete.
func (o *inorder) result() codec.Hash { return codec.Hash(o.sum.Sum(nil)) }
