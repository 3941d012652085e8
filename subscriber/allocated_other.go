//go:build !unix

package subscriber

import "io/fs"

// allocated is not known here.
func allocated(fs.FileInfo) uint64 { return 0 }

// linked is not known here.
func linked(fs.FileInfo) bool { return false }
