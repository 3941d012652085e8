package codec

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// MaxInventoryIDs is the most ids that one inventory blob lists: 1 MiB.
const MaxInventoryIDs = 32_768

// MaxInventoryLevel is the highest level of an inventory blob.
const MaxInventoryLevel = 3

const inventoryFormat = 1

// inventory is an inventory blob, in clear and unpadded.
type inventory struct {
	Format uint64 `cbor:"1,keyasint"`
	Level  uint64 `cbor:"2,keyasint"` // 0: the ids of blobs; n: those of inventory blobs of level n-1
	IDs    []byte `cbor:"3,keyasint"` // 32 bytes each
}

// EncodeInventory puts into dst the blobs of an inventory of ids, and returns
// the id of the topmost. ids are put into order and repeated ones dropped, in a
// copy; there must be at least one. An inventory holds no key: it is for those
// who keep blobs and cannot read them.
func EncodeInventory(ctx context.Context, dst Putter, ids []blobnet.ID) (blobnet.ID, error) {
	return encodeInventory(ctx, dst, ids, MaxInventoryIDs)
}

func encodeInventory(ctx context.Context, dst Putter, ids []blobnet.ID, perBlob int) (blobnet.ID, error) {
	if len(ids) == 0 {
		return blobnet.ID{}, fmt.Errorf("inventory of no blobs: %w", ErrInventory)
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, blobnet.ID.Compare)
	ids = slices.Compact(ids)
	for level := uint64(0); level <= MaxInventoryLevel; level++ {
		var above []blobnet.ID
		for part := range slices.Chunk(ids, perBlob) {
			blob, err := dcbor.Marshal(inventory{inventoryFormat, level, concat(part)})
			if err != nil {
				return blobnet.ID{}, fmt.Errorf("encoding an inventory: %w", err)
			}
			id := blobnet.Sum(blob)
			if err := put(ctx, dst, id, blob); err != nil {
				return blobnet.ID{}, fmt.Errorf("putting inventory blob %s: %w", id.Short(), err)
			}
			above = append(above, id)
		}
		if len(above) == 1 {
			return above[0], nil
		}
		ids = above
	}
	return blobnet.ID{}, fmt.Errorf("inventory is deeper than %d: %w", MaxInventoryLevel, ErrTooLarge)
}

func concat(ids []blobnet.ID) []byte {
	b := make([]byte, 0, len(ids)*len(blobnet.ID{}))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

// Inventory yields the ids that the inventory id lists, in ascending order. It
// gets inventory blobs from src as it reaches them and holds one per level.
// After an error, which may be the first thing yielded, nothing follows. An
// inventory may list blobs that do not exist, and more than anyone can keep:
// the caller counts.
func Inventory(ctx context.Context, src blobnet.Source, id blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return walkInventory(ctx, src, id, MaxInventoryIDs, false)
}

// InventoryBlobs yields the ids of the blobs that the inventory consists of, id
// itself first: what a mirror keeps to be able to pass the inventory on. Each is
// yielded after it was got from src and checked.
func InventoryBlobs(ctx context.Context, src blobnet.Source, id blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return walkInventory(ctx, src, id, MaxInventoryIDs, true)
}

func walkInventory(ctx context.Context, src blobnet.Source, id blobnet.ID, perBlob int, blobs bool) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		w := inventoryWalker{src: src, perBlob: perBlob, blobs: blobs, yield: func(id blobnet.ID) bool { return yield(id, nil) }}
		if err := w.walk(ctx, id, -1, true); err != nil {
			yield(blobnet.ID{}, err)
		}
	}
}

// inventoryWalker goes through one inventory, depth first.
type inventoryWalker struct {
	src     blobnet.Source
	perBlob int
	blobs   bool // yield the blobs of the inventory, not what they list
	yield   func(blobnet.ID) bool
	stopped bool
	last    *blobnet.ID // the id listed last, at level 0
}

// walk reads the inventory blob id. level is what it must be, or -1 for the
// topmost, which may be of any. Only a blob that is last at its level may be
// less than full.
func (w *inventoryWalker) walk(ctx context.Context, id blobnet.ID, level int, last bool) error {
	in, err := w.load(ctx, id)
	if err != nil {
		return err
	}
	size := len(id)
	n := len(in.IDs) / size
	switch {
	case in.Format != inventoryFormat:
		err = fmt.Errorf("format %d, want %d", in.Format, inventoryFormat)
	case level >= 0 && in.Level != uint64(level), in.Level > MaxInventoryLevel:
		err = fmt.Errorf("level %d is wrong", in.Level)
	case len(in.IDs)%size != 0, n == 0, n > w.perBlob, !last && n != w.perBlob:
		err = fmt.Errorf("%d bytes of ids", len(in.IDs))
	case level < 0 && in.Level > 0 && n < 2:
		err = fmt.Errorf("the topmost blob lists a single one")
	}
	if err != nil {
		return fmt.Errorf("inventory blob %s: %w: %w", id.Short(), ErrInventory, err)
	}
	if w.blobs && !w.yield(id) {
		w.stopped = true
		return nil
	}
	for i := range n {
		below := blobnet.ID(in.IDs[i*size:])
		if in.Level > 0 {
			err = w.walk(ctx, below, int(in.Level)-1, last && i == n-1)
		} else {
			err = w.list(id, below)
		}
		if err != nil || w.stopped {
			return err
		}
	}
	return nil
}

// list takes note of one listed id, found in the inventory blob in.
func (w *inventoryWalker) list(in, id blobnet.ID) error {
	if w.last != nil && w.last.Compare(id) >= 0 {
		return fmt.Errorf("inventory blob %s: %w: ids do not ascend", in.Short(), ErrInventory)
	}
	w.last = &id
	if !w.blobs && !w.yield(id) {
		w.stopped = true
	}
	return nil
}

func (w *inventoryWalker) load(ctx context.Context, id blobnet.ID) (in inventory, err error) {
	blob, err := w.src.Get(ctx, id, nil)
	if err != nil {
		return in, fmt.Errorf("getting inventory blob %s: %w", id.Short(), err)
	}
	if err := dcbor.Unmarshal(blob, &in); err != nil {
		return in, fmt.Errorf("inventory blob %s: %w: %w", id.Short(), ErrInventory, err)
	}
	return in, nil
}
