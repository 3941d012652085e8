//go:build !(linux && (amd64 || arm64))

package disk

import "errors"

// Disk is a file system that can be synced as a whole; here there is none.
type Disk struct{}

// Open gives an error that wraps errors.ErrUnsupported.
func Open(string) (*Disk, error) { return nil, errors.ErrUnsupported }

// Sync gives an error that wraps errors.ErrUnsupported.
func (*Disk) Sync() error { return errors.ErrUnsupported }

// Close does nothing.
func (*Disk) Close() error { return nil }
