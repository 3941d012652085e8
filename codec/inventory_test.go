package codec

import (
	"errors"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"pgregory.net/rapid"
)

func someIDs(n int) []blobnet.ID {
	ids := make([]blobnet.ID, n)
	for i := range ids {
		ids[i] = blobnet.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	return ids
}

func TestInventoryListsWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perBlob := rapid.IntRange(4, 8).Draw(t, "per blob")
		ids := someIDs(rapid.IntRange(1, 200).Draw(t, "n"))
		given := append(slices.Clone(ids), ids[:rapid.IntRange(0, len(ids)).Draw(t, "repeated")]...)
		store := newBlobs()
		top, err := encodeInventory(t.Context(), store, given, perBlob)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(ids, blobnet.ID.Compare)
		got, err := slice(walkInventory(t.Context(), store, top, perBlob, false))
		if err != nil || !slices.Equal(got, ids) {
			t.Fatalf("%d ids, want %d, %v", len(got), len(ids), err)
		}
		own, err := slice(walkInventory(t.Context(), store, top, perBlob, true))
		if err != nil || len(own) != len(store.m) || own[0] != top {
			t.Fatalf("%d inventory blobs, %d stored, %v", len(own), len(store.m), err)
		}
		for range walkInventory(t.Context(), store, top, perBlob, rapid.Bool().Draw(t, "own")) {
			break
		}
	})
}

func TestInventoryOfFullSize(t *testing.T) {
	ids := someIDs(2*MaxInventoryIDs + 1)
	store := newBlobs()
	top, err := EncodeInventory(t.Context(), store, ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(store.m) != 4 {
		t.Errorf("%d inventory blobs", len(store.m))
	}
	got, err := slice(Inventory(t.Context(), store, top))
	if err != nil || len(got) != len(ids) {
		t.Errorf("%d ids, %v", len(got), err)
	}
	if own, err := slice(InventoryBlobs(t.Context(), store, top)); err != nil || len(own) != 4 {
		t.Errorf("%d blobs, %v", len(own), err)
	}
}

func TestInventoryOfNothingIsRefused(t *testing.T) {
	if _, err := EncodeInventory(t.Context(), newBlobs(), nil); !errors.Is(err, ErrInventory) {
		t.Error(err)
	}
}

func TestInventoryThatLiesIsRefused(t *testing.T) {
	store := newBlobs()
	put := func(format, level uint64, ids ...blobnet.ID) blobnet.ID {
		return putInventory(t, store, inventory{format, level, concat(ids)})
	}
	ids := someIDs(4 * MaxInventoryIDs)
	slices.SortFunc(ids, blobnet.ID.Compare)
	low, high := ids[:MaxInventoryIDs], ids[MaxInventoryIDs:MaxInventoryIDs+5]
	full := put(1, 0, low...)
	odd := putInventory(t, store, inventory{1, 0, make([]byte, 33)})
	if got, err := slice(Inventory(t.Context(), store, put(1, 1, full, put(1, 0, high...)))); err != nil || len(got) != MaxInventoryIDs+5 {
		t.Fatal("the good one", len(got), err)
	}
	noCBOR := []byte("inventory")
	if err := store.Put(t.Context(), blobnet.Sum(noCBOR), noCBOR); err != nil {
		t.Fatal(err)
	}
	for what, top := range map[string]blobnet.ID{
		"no ids":                      put(1, 0),
		"an unknown format":           put(2, 0, low...),
		"a level of 4":                put(1, 4, full, full),
		"a level of 2^64-1":           put(1, 1<<64-1, full, full),
		"half an id":                  odd,
		"too many":                    put(1, 0, ids[:MaxInventoryIDs+1]...),
		"ids that descend":            put(1, 0, ids[1], ids[0]),
		"an id twice":                 put(1, 0, ids[0], ids[0]),
		"a top with a single one":     put(1, 1, full),
		"the same one twice":          put(1, 1, full, full),
		"parts that descend":          put(1, 1, put(1, 0, ids[MaxInventoryIDs:2*MaxInventoryIDs]...), put(1, 0, low[:9]...)),
		"a middle part not full":      put(1, 1, put(1, 0, low[:9]...), put(1, 0, high...)),
		"a part of the wrong level":   put(1, 2, full, put(1, 0, high...)),
		"a part that is no inventory": put(1, 1, full, blobnet.Sum(noCBOR)),
		"something that is no CBOR":   blobnet.Sum(noCBOR),
	} {
		for range 2 {
			if _, err := slice(Inventory(t.Context(), store, top)); !errors.Is(err, ErrInventory) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := slice(InventoryBlobs(t.Context(), store, top)); !errors.Is(err, ErrInventory) {
				t.Errorf("%s: blobs: %v", what, err)
			}
		}
	}
	if _, err := slice(Inventory(t.Context(), store, blobnet.ID{1})); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error("missing:", err)
	}
}

func putInventory(t interface{ Fatal(...any) }, store *blobs, in inventory) blobnet.ID {
	blob, err := dcbor.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	id := blobnet.Sum(blob)
	store.m[id] = blob
	return id
}
