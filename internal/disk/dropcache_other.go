//go:build !(linux && (amd64 || arm64))

package disk

import "os"

// DropCache does nothing where the system has no call for it.
func DropCache(*os.File) {}
