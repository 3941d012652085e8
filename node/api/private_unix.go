//go:build unix

package api

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private says why the folder dir cannot be trusted to hold this user's socket:
// another user made it, or may write to it.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("folder %s: %w: want a folder of this user's that nobody else may write to", dir, fs.ErrPermission)
	}
	return nil
}
