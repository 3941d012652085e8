// Package blobnet is the vocabulary of the blob layer: what a blob is called,
// where one can be put, where one can be had, and which errors a caller tells
// apart.
//
// It is for every package that handles sealed bytes. It must never know what
// is inside a blob, open one, do I/O of its own, or import anything beyond the
// standard library: the rooms below it (diskstore, exchange, tracker, fetch)
// implement these words, and this package never imports them.
package blobnet

import (
	"context"
	"time"
)

// MaxBlobSize is the largest blob, in bytes, that any node stores, sends or
// accepts: 2 MiB of sealed chunk and 64 bytes of overhead. Check it before
// allocating.
const MaxBlobSize = 2<<20 + 64

// Source is where a blob can be had: a store, a peer, an HTTP mirror.
//
// Get appends the blob named id to dst and returns the extended slice, as
// append does, so that a caller who reuses buffers causes no garbage; dst may
// be nil. The bytes belong to the caller, and on error nothing appended to dst
// means anything. The bytes were checked against id before Get returned.
// A missing blob gives an error that wraps ErrNotFound, wrong bytes one that
// wraps ErrCorrupt; when ctx ends first, the error wraps ctx.Err(). Get may be
// called from many goroutines at once.
type Source interface {
	Get(ctx context.Context, id ID, dst []byte) ([]byte, error)
}

// Store keeps blobs.
//
// Put stores blob under id after checking that SHA-256(blob) is id (else
// ErrCorrupt) and that it is not over MaxBlobSize (else ErrTooLarge). It does
// not keep a reference to blob. Putting a blob that is there already succeeds
// and counts as a use of it, as does a Get. A blob that cannot fit gives ErrFull:
// then it is not stored, and no other blob was evicted for it. After Put the
// blob survives the death of the process; see Syncer for power loss.
//
// Has reports which of ids are stored, in the same order; it is no use of them.
//
// A store with a quota evicts, when a Put would go over it, the blobs whose last
// use is longest ago; see Pinner for those that it never evicts.
//
// When ctx ends before a call is done the error wraps ctx.Err(); a Put has then
// stored the whole blob or nothing. All methods may be called from many
// goroutines at once.
type Store interface {
	Source
	Put(ctx context.Context, id ID, blob []byte) error
	Has(ctx context.Context, ids ...ID) ([]bool, error)
}

// VerifiedPutter is a Store that takes the caller's word for a blob's hash.
//
// PutVerified is Put for a caller who has computed, just before and over these
// very bytes, that SHA-256(blob) is id: the store need not do so again. Whoever
// has id from elsewhere calls Put. A wrong claim is the caller's fault; a store
// may find it then or at the next Get (ErrCorrupt). A wrapper of a store that
// changes Put has to change this, too.
type VerifiedPutter interface {
	PutVerified(ctx context.Context, id ID, blob []byte) error
}

// Deleter is a Store that forgets on request. Deleting a blob that is not
// there is no error; if one of ids is pinned and stored, Delete gives ErrPinned
// and none of them is deleted.
type Deleter interface {
	Delete(ctx context.Context, ids ...ID) error
}

// Lister is a Store that enumerates. List calls yield once for every blob held
// when it began, in ascending order of id, until yield returns an error, which
// List then returns. Blobs put or deleted meanwhile may or may not be seen.
type Lister interface {
	List(ctx context.Context, yield func(Info) error) error
}

// Pinner is a Store that keeps chosen blobs from eviction. Pins are counted:
// a blob pinned twice wants two Unpins. A pin may be set on a blob that is not
// stored yet and holds once it is. Unpin below zero is no error.
//
// UnpinTo is for whoever keeps an order, on a disk, of what is to be unpinned: it
// unpins and in the same step notes how far it has come, so that who is killed at any
// moment begins again at UnpinnedTo and takes no pin back twice. That is the zero Mark
// at first. A store is told of one such order, by one caller at a time.
type Pinner interface {
	Pin(ctx context.Context, ids ...ID) error
	Unpin(ctx context.Context, ids ...ID) error
	UnpinTo(ctx context.Context, to Mark, ids ...ID) error
	UnpinnedTo(ctx context.Context) (Mark, error)
}

// Mark is a place in an order of what is to be unpinned: the number of a thing, which
// ascends, and how many of its blobs are left.
type Mark struct{ Number, Left int64 }

// Syncer is a Store with a grouped fsync. After Sync returns nil every blob
// whose Put returned before Sync was called survives a power loss.
type Syncer interface {
	Sync(ctx context.Context) error
}

// Stater is a Store that counts what it holds.
type Stater interface {
	Stats(ctx context.Context) (Stats, error)
}

// Info describes one stored blob.
type Info struct {
	ID     ID
	Size   int64 // bytes
	Pinned bool

	// What a store knows besides, as far as it does.
	Pins int64     // how many; 0 with Pinned: some
	Used time.Time // about when it was put or read last; zero: not known
}

// Stats is what a store holds. Sizes are in bytes of blobs, without what the
// file system adds.
type Stats struct {
	BlobCount   int64
	CurrentSize int64
	MaxSize     int64 // the quota; 0 means none
	Pinned      int64 // stored blobs with at least one pin
	PinnedSize  int64 // their bytes
}

// Utilization is CurrentSize as a fraction of MaxSize, 0 without a quota.
func (s Stats) Utilization() float64 {
	if s.MaxSize <= 0 {
		return 0
	}
	return float64(s.CurrentSize) / float64(s.MaxSize)
}
