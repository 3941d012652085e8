package blobnet

import (
	"errors"
	"fmt"
	"io/fs"
)

// missing is an error that is also fs.ErrNotExist, without saying "file".
type missing string

func (m missing) Error() string { return string(m) }
func (missing) Unwrap() error   { return fs.ErrNotExist }

// One sentinel per decision that a caller makes; test with errors.Is.
var (
	// ErrNotFound: the blob is not here; ask elsewhere. It wraps
	// fs.ErrNotExist.
	ErrNotFound error = missing("blob not found")

	// ErrCorrupt: the bytes are not the ones that the id names. From a
	// store: fetch it again. From a peer: misbehaviour, drop the peer.
	ErrCorrupt = errors.New("blob does not hash to its id")

	// ErrTooLarge: over MaxBlobSize.
	ErrTooLarge = fmt.Errorf("blob is over %d bytes", MaxBlobSize)

	// ErrFull: the blob does not fit under the quota beside what is pinned, or
	// the disk is full. It was not stored, and no other blob was evicted for
	// it. Make room or raise the quota.
	ErrFull = errors.New("blob store is full")

	// ErrPinned: a pinned blob was to be deleted. None of the blobs of that
	// call was.
	ErrPinned = errors.New("blob is pinned")

	// ErrBusy: the source has no capacity now; ask again later.
	ErrBusy = errors.New("source is busy")

	// ErrGiven is the cause (context.Cause) of the end of a Get's context if
	// another source gave the blob sooner: what came of it came twice.
	ErrGiven = errors.New("another source gave the blob")

	// ErrClosed: the store or connection has been closed.
	ErrClosed = errors.New("closed")
)
