// Package storetest is what every blobnet.Store must pass: the promises of the
// interface, as tests.
//
// It is for the tests of packages that implement blobnet.Store. It must never
// ask for more than the interfaces say, know an implementation, or be imported
// by anything but tests.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Open returns a new empty store with a quota of maxSize bytes, 0 for none, and
// sees to it that it is closed when t ends.
type Open func(t *testing.T, maxSize int64) blobnet.Store

// Run tests the stores that open returns. The optional abilities (VerifiedPutter,
// Deleter, Lister, Pinner, Syncer, Stater) are tested where a store has them; pins, stats
// and eviction only where it has all of them but Syncer.
func Run(t *testing.T, open Open) {
	t.Run("what is put is had", func(t *testing.T) { testPutGet(t, open(t, 0)) })
	t.Run("get appends", func(t *testing.T) { testAppend(t, open(t, 0)) })
	t.Run("the caller's bytes are the caller's", func(t *testing.T) { testAliasing(t, open(t, 0)) })
	t.Run("bytes that are not the id's are refused", func(t *testing.T) { testForged(t, open(t, 0)) })
	t.Run("sizes from nothing to the limit", func(t *testing.T) { testSizes(t, open(t, 0)) })
	t.Run("missing blobs are told apart", func(t *testing.T) { testMissing(t, open(t, 0)) })
	t.Run("ended contexts end calls", func(t *testing.T) { testContext(t, open(t, 0)) })
	t.Run("puts of what was hashed before", func(t *testing.T) { testPutVerified(t, open) })
	t.Run("what is read to be sent is what was put", func(t *testing.T) { testGetToSend(t, open(t, 0)) })
	t.Run("delete", func(t *testing.T) { testDelete(t, open(t, 0)) })
	t.Run("list", func(t *testing.T) { testList(t, open(t, 0)) })
	t.Run("pins are counted", func(t *testing.T) { testPins(t, open(t, 0)) })
	t.Run("unpinning in an order", func(t *testing.T) { testOrderedUnpins(t, open(t, 0)) })
	t.Run("stats", func(t *testing.T) { testStats(t, open(t, 1<<20)) })
	t.Run("sync", func(t *testing.T) { testSync(t, open(t, 0)) })
	t.Run("eviction takes the blob used longest ago", func(t *testing.T) { testEviction(t, open) })
	t.Run("eviction never takes a pinned blob", func(t *testing.T) { testPinnedEviction(t, open) })
	t.Run("a blob that cannot fit changes nothing", func(t *testing.T) { testFull(t, open) })
	t.Run("many at once", func(t *testing.T) { testConcurrent(t, open(t, 0)) })
	t.Run("many at once under a quota", func(t *testing.T) { testConcurrentQuota(t, open) })
}

// full is a store with the abilities that pins, stats and eviction are tested by.
type full interface {
	blobnet.Store
	blobnet.Deleter
	blobnet.Lister
	blobnet.Pinner
	blobnet.Stater
}

// needs returns s as a T, or skips.
func needs[T any](t *testing.T, s blobnet.Store) T {
	t.Helper()
	able, ok := s.(T)
	if !ok {
		t.Skipf("%T has no such ability", s)
	}
	return able
}

// Blob returns the n-th of an endless series of different blobs, of size
// bytes, at least 8.
func Blob(n, size int) (blobnet.ID, []byte) {
	blob := make([]byte, size)
	binary.LittleEndian.PutUint64(blob, uint64(n))
	for i := 8; i < size; i++ {
		blob[i] = byte(i * 31 >> 2)
	}
	return blobnet.Sum(blob), blob
}

func put(t *testing.T, s blobnet.Store, n, size int) blobnet.ID {
	t.Helper()
	id, blob := Blob(n, size)
	if err := s.Put(t.Context(), id, blob); err != nil {
		t.Fatalf("Put: %v", err)
	}
	return id
}

func has(t *testing.T, s blobnet.Store, id blobnet.ID) bool {
	t.Helper()
	have, err := s.Has(t.Context(), id)
	if err != nil || len(have) != 1 {
		t.Fatalf("Has: %v, %v", have, err)
	}
	return have[0]
}

func wantBlob(t *testing.T, s blobnet.Store, id blobnet.ID) {
	t.Helper()
	got, err := s.Get(t.Context(), id, nil)
	if err != nil || blobnet.Sum(got) != id {
		t.Errorf("Get(%s) gives %d bytes and %v, want the blob", id.Short(), len(got), err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s gives %v, want %v", what, err, want)
	}
}

func testPutGet(t *testing.T, s blobnet.Store) {
	var ids []blobnet.ID
	for n := range 50 {
		ids = append(ids, put(t, s, n, 100+n))
	}
	put(t, s, 7, 107) // again
	absent, _ := Blob(50, 100)
	have, err := s.Has(t.Context(), append(slices.Clone(ids), absent, ids[0])...)
	if err != nil || len(have) != 52 {
		t.Fatalf("Has: %d answers, %v", len(have), err)
	}
	for i, ok := range have {
		if ok != (i != 50) {
			t.Errorf("Has says %v of number %d", ok, i)
		}
	}
	for _, id := range ids {
		wantBlob(t, s, id)
	}
	if have, err := s.Has(t.Context()); err != nil || len(have) != 0 {
		t.Errorf("Has of nothing: %v, %v", have, err)
	}
}

func testAppend(t *testing.T, s blobnet.Store) {
	id := put(t, s, 1, 1000)
	_, blob := Blob(1, 1000)
	dst := append(make([]byte, 0, 4096), "before"...)
	got, err := s.Get(t.Context(), id, dst)
	if err != nil || string(got) != "before"+string(blob) {
		t.Errorf("Get gives %d bytes and %v, want what was there and the blob after it", len(got), err)
	}
	if &got[0] != &dst[0] {
		t.Error("Get made a new slice although the old one had room")
	}
}

func testAliasing(t *testing.T, s blobnet.Store) {
	id, blob := Blob(1, 1000)
	if err := s.Put(t.Context(), id, blob); err != nil {
		t.Fatal(err)
	}
	clear(blob)
	got, err := s.Get(t.Context(), id, nil)
	if err != nil || blobnet.Sum(got) != id {
		t.Fatalf("the store kept the slice that was put (%v)", err)
	}
	clear(got)
	wantBlob(t, s, id)
}

func testForged(t *testing.T, s blobnet.Store) {
	id, blob := Blob(1, 1000)
	for name, forged := range map[string][]byte{
		"a flipped bit": append([]byte{blob[0] ^ 1}, blob[1:]...), "a byte less": blob[:999], "a byte more": append(slices.Clone(blob), 0), "nothing": nil,
	} {
		wantErr(t, "Put of "+name, s.Put(t.Context(), id, forged), blobnet.ErrCorrupt)
	}
	if has(t, s, id) {
		t.Error("a forged blob was stored")
	}
	put(t, s, 1, 1000)
	wantErr(t, "Put over the good one", s.Put(t.Context(), id, blob[:999]), blobnet.ErrCorrupt)
	wantBlob(t, s, id)
}

func testSizes(t *testing.T, s blobnet.Store) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 1 << 20, blobnet.MaxBlobSize} {
		blob := make([]byte, size)
		id := blobnet.Sum(blob)
		if err := s.Put(t.Context(), id, blob); err != nil {
			t.Errorf("Put of %d bytes: %v", size, err)
		}
		wantBlob(t, s, id)
	}
	blob := make([]byte, blobnet.MaxBlobSize+1)
	id := blobnet.Sum(blob)
	wantErr(t, "Put over the limit", s.Put(t.Context(), id, blob), blobnet.ErrTooLarge)
	if has(t, s, id) {
		t.Error("a blob over the limit was stored")
	}
}

func testMissing(t *testing.T, s blobnet.Store) {
	id, _ := Blob(1, 100)
	_, err := s.Get(t.Context(), id, nil)
	wantErr(t, "Get", err, blobnet.ErrNotFound)
	wantErr(t, "Get", err, fs.ErrNotExist)
	if has(t, s, id) || has(t, s, blobnet.ID{}) {
		t.Error("an empty store has something")
	}
}

func testContext(t *testing.T, s blobnet.Store) {
	id, blob := Blob(1, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Put", s.Put(ctx, id, blob), context.Canceled)
	if has(t, s, id) {
		t.Error("Put with an ended context stored something")
	}
	put(t, s, 1, 100)
	_, err := s.Get(ctx, id, nil)
	wantErr(t, "Get", err, context.Canceled)
	_, err = s.Has(ctx, id)
	wantErr(t, "Has", err, context.Canceled)
}

func testConcurrent(t *testing.T, s blobnet.Store) {
	const workers, blobs = 8, 40
	t.Run("workers", func(t *testing.T) {
		for w := range workers {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(w), 1))
				for _, n := range append(r.Perm(blobs), r.Perm(blobs)...) {
					id := put(t, s, n, 2000) // the same ones as the others do
					wantBlob(t, s, id)
					if !has(t, s, id) {
						t.Error("a blob that was put is not there")
					}
				}
			})
		}
	})
	if st, ok := s.(blobnet.Stater); ok {
		if got, err := st.Stats(t.Context()); err != nil || got.BlobCount != blobs || got.CurrentSize != blobs*2000 {
			t.Errorf("stats are %+v (%v), want %d blobs", got, err, blobs)
		}
	}
}
