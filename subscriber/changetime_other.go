//go:build !linux

package subscriber

import "io/fs"

// changeTime is not asked for here: the modification time has to do.
func changeTime(fs.FileInfo) int64 { return 0 }
