package erasure_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

// indexBlob is an index of docs/blobs.md, written here by hand since no encoder
// makes those that these tests want.
type indexBlob struct {
	Format uint64      `cbor:"1,keyasint"`
	Level  uint64      `cbor:"2,keyasint"`
	Refs   []codec.Ref `cbor:"3,keyasint"`
	Data   uint64      `cbor:"4,keyasint"`
	Parity uint64      `cbor:"5,keyasint"`
	IDs    []byte      `cbor:"6,keyasint"`
}

// maker makes index blobs of coding 64+1 whose parity nobody has.
type maker struct {
	t     testing.TB
	rand  *rand.ChaCha8
	store *memstore.Store
}

func (m *maker) bytes(n int) []byte {
	b := make([]byte, n)
	m.rand.Read(b)
	return b
}

// absent is the ref of a blob that is nowhere.
func (m *maker) absent(size uint64) codec.Ref {
	return codec.Ref{ID: blobnet.ID(m.bytes(32)), Key: codec.Key(m.bytes(32)), Size: size, Tree: codec.Hash(m.bytes(32))}
}

func (m *maker) index(level int, refs []codec.Ref) codec.Ref {
	m.t.Helper()
	plain, err := dcbor.Marshal(indexBlob{2, uint64(level), refs, 64, 1, m.bytes(32 * ((len(refs) + 63) / 64))})
	if err != nil {
		m.t.Fatal(err)
	}
	padded := make([]byte, codec.PaddedSize(len(plain)))
	copy(padded, plain)
	key := codec.Key(m.bytes(32))
	blob, err := codec.Seal(nil, padded, key)
	if err != nil {
		m.t.Fatal(err)
	}
	var size uint64
	for _, ref := range refs {
		size += ref.Size
	}
	ref := codec.MakeRef(blob, key, size)
	if err := m.store.Put(m.t.Context(), ref.ID, blob); err != nil {
		m.t.Fatal(err)
	}
	return ref
}

// counting is a source that has had enough after so many Gets.
type counting struct {
	blobnet.Store
	left atomic.Int64
}

func count(store blobnet.Store, left int64) *counting {
	c := &counting{Store: store}
	c.left.Store(left)
	return c
}

var errEnough = errors.New("asked too often")

func (c *counting) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if c.left.Add(-1) < 0 {
		return dst, errEnough
	}
	return c.Store.Get(ctx, id, dst)
}

// TestLostIndexesOfADeepFileDoNotMultiplyTheWork: an entry of 230 KB, with index
// blobs of level 2 that are there and list ones of level 1 that are not, cost as
// many walks as 1,024 to the power of them.
func TestLostIndexesOfADeepFileDoNotMultiplyTheWork(t *testing.T) {
	m := &maker{t, rand.NewChaCha8([32]byte{1}), memstore.New(memstore.Config{})}
	const parents, below = 4, codec.MaxRefs * codec.MinChunkSize
	var top []codec.Ref
	var last codec.Ref
	for range parents {
		refs := make([]codec.Ref, codec.MaxRefs)
		for i := range refs {
			refs[i] = m.absent(below)
		}
		last = refs[len(refs)-1]
		top = append(top, m.index(2, refs))
	}
	root := m.index(3, top)
	f := codec.File{Size: root.Size, Depth: 3, Root: root}

	// All that is lost is looked for once, and each stripe of it once more.
	const enough = parents * (2*codec.MaxRefs + 64)
	src, err := erasure.NewSource(erasure.Config{Source: count(m.store, 2*enough), File: f, Extra: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []blobnet.ID{last.ID, {1}} { // one of the file, and one of no file
		if _, err := src.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("a blob that cannot be made: %v", err)
		}
	}
	store := count(m.store, enough)
	res, err := erasure.Repair(t.Context(), erasure.RepairConfig{Store: store, File: f})
	if err != nil || store.left.Load() < 0 || res.Rebuilt != 1 || // the copy of the root
		len(res.Failed) == 0 {
		t.Errorf("%d Gets beyond those allowed, %d errors, %d rebuilt: %v", -store.left.Load(), len(res.Failed), res.Rebuilt, err)
	}
	if len(res.Failed) > 200 {
		t.Errorf("%d errors are listed", len(res.Failed))
	}
}

// TestAnIndexThatIsListedOftenIsWalkedOnce: three index blobs claim a file of a
// thousand million chunks.
func TestAnIndexThatIsListedOftenIsWalkedOnce(t *testing.T) {
	m := &maker{t, rand.NewChaCha8([32]byte{2}), memstore.New(memstore.Config{})}
	ref := m.absent(codec.MinChunkSize)
	for level := 1; level <= 3; level++ {
		refs := make([]codec.Ref, codec.MaxRefs)
		for i := range refs {
			refs[i] = ref
		}
		ref = m.index(level, refs)
	}
	f := codec.File{Size: ref.Size, Depth: 3, Root: ref}
	store := count(m.store, 10_000)
	if res, err := erasure.Repair(t.Context(), erasure.RepairConfig{Store: store, File: f}); err != nil || store.left.Load() < 0 || len(res.Failed) == 0 {
		t.Errorf("%d Gets beyond those allowed, %d errors: %v", -store.left.Load(), len(res.Failed), err)
	}
}

// TestAChunkBelowLostIndexesIsMade: who asks for it need not have asked for them.
func TestAChunkBelowLostIndexesIsMade(t *testing.T) {
	store, f, _, ids := newFile(t, 1500*64<<10+5, 64<<10, codec.Coding{Data: 3, Parity: 2})
	all := stripesOf(t, store, f)
	chunk := all[len(all)-1].Data[0].ID
	gone := []blobnet.ID{f.Root.ID, all[0].Data[0].ID, all[0].Data[1].ID, chunk}
	if err := store.Delete(t.Context(), gone...); err != nil {
		t.Fatal(err)
	}
	looked := 0
	spares := func(yield func(blobnet.ID, error) bool) {
		looked++
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
	from := count(store, 1<<20)
	src, err := erasure.NewSource(erasure.Config{Source: from, File: f, Spares: spares, Extra: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if blob, err := src.Get(t.Context(), chunk, nil); err != nil || blobnet.Sum(blob) != chunk {
			t.Fatal(err)
		}
	}
	if looked != 1 {
		t.Errorf("a copy of the root was looked for %d times", looked)
	}
	before := from.left.Load()
	if _, err := src.Get(t.Context(), chunk, nil); err != nil || before-from.left.Load() > 10 {
		t.Errorf("once the indexes were made a chunk costs %d Gets: %v", before-from.left.Load(), err)
	}
}
