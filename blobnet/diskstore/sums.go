package diskstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// A checksum of a blob is the CRC-32C of its bytes; the processor computes it
// some twenty times faster than SHA-256. noSum stands for one not known. Of
// blobs below sumMin bytes none is kept: to hash them is as quick as to find it.
const (
	noSum  = int64(-1)
	sumMin = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums remembers checksums of blobs put or sent lately, of 32,768 at most in
// half a MiB: each has one place, and drives out who was there. The index has
// all of them.
type sums struct {
	mu     sync.Mutex
	places []sumPlace // nil until the first is noted
}

// sumPlace has an id by some of its bytes. Should two blobs share them the
// checksum does not fit, and the blob is hashed.
type sumPlace struct {
	key uint64
	crc uint32
}

const sumPlaces = 1 << 15

func sumKey(id blobnet.ID) (place int, key uint64) {
	return int(binary.LittleEndian.Uint16(id[16:])) % sumPlaces, binary.LittleEndian.Uint64(id[8:]) | 1
}

// note computes and remembers the checksum of blob.
func (m *sums) note(id blobnet.ID, blob []byte) int64 {
	if len(blob) < sumMin {
		return noSum
	}
	crc := crc32.Checksum(blob, castagnoli)
	m.set(id, crc)
	return int64(crc)
}

func (m *sums) set(id blobnet.ID, crc uint32) {
	place, key := sumKey(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.places == nil {
		m.places = make([]sumPlace, sumPlaces)
	}
	m.places[place] = sumPlace{key, crc}
}

// find returns the checksum, or noSum.
func (m *sums) find(id blobnet.ID) int64 {
	place, key := sumKey(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.places == nil || m.places[place].key != key {
		return noSum
	}
	return int64(m.places[place].crc)
}

// noteSum has the index told a checksum that it lacks; that is no use of the blob.
func (s *Store) noteSum(id blobnet.ID, blob []byte) {
	crc := s.sums.note(id, blob)
	if crc == noSum {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, waits := s.queue.touched[id]
	if waits || len(s.queue.touched) < maxTouches {
		u.crc = crc
		s.queue.touched[id] = u
	}
}

// GetToSend is Get for a caller who passes the bytes to somebody who checks
// them against id, as every peer does with a blob it is sent. What was read is
// compared with a checksum from when the blob was hashed last, which finds a
// disk that changes bytes (all but one of four billion times) at a twentieth of
// the cost of the hash. Nobody else may use it: the bytes were not checked
// against id.
func (s *Store) GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if err := s.begin(ctx); err != nil {
		return dst, err
	}
	defer s.ops.Done()
	out, err := s.get(ctx, id, dst, checkSum)
	if err != nil {
		return dst, fmt.Errorf("reading blob %s: %w", id, err)
	}
	return out, nil
}

// checkSum is the checker that compares checksums, and hashes where there is
// none or it does not fit.
func checkSum(s *Store, ctx context.Context, id blobnet.ID, blob []byte) (int64, error) {
	if len(blob) < sumMin {
		return check(s, ctx, id, blob)
	}
	crc := crc32.Checksum(blob, castagnoli)
	known := s.sums.find(id)
	if known == noSum {
		// Without an answer the blob is hashed: nothing is lost.
		if s.sumOf.QueryRowContext(ctx, id[:]).Scan(&known) != nil {
			known = noSum
		}
	}
	if known == int64(crc) {
		s.sums.set(id, crc)
		return noSum, nil
	}
	if blobnet.Sum(blob) != id {
		return noSum, blobnet.ErrCorrupt
	}
	s.sums.set(id, crc)
	return int64(crc), nil
}
