//go:build linux && (amd64 || arm64)

package disk

import (
	"errors"
	"os"
	"syscall"
)

// File systems, by what statfs calls them, on which syncfs does for each file
// what fsync does. Others may only pass the bytes on to somebody else.
var syncable = [...]int64{
	0xef53,     // ext2, ext3, ext4
	0x58465342, // xfs
	0x9123683e, // btrfs
	0xf2f52010, // f2fs
	0x01021994, // tmpfs
}

// Disk is a file system that can be synced as a whole.
type Disk struct{ dir *os.File }

// Open opens the disk that dir is on. Where the system cannot sync it as a whole,
// or cannot say whether it could, the error wraps errors.ErrUnsupported. Errors
// of writing that come while it is open are told by its Sync, even if another
// program was told of them first.
func Open(dir string) (*Disk, error) {
	if !tellsErrors() {
		return nil, errors.ErrUnsupported
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(os.NewSyscallError("fstatfs", err), f.Close())
	}
	for _, kind := range syncable {
		if int64(st.Type) == kind {
			return &Disk{f}, nil
		}
	}
	return nil, errors.Join(errors.ErrUnsupported, f.Close())
}

// Sync makes everything durable that was written to the disk before, files and
// names, whoever wrote it. After an error nothing is known.
func (d *Disk) Sync() error {
	if _, _, errno := syscall.Syscall(sysSyncfs, d.dir.Fd(), 0, 0); errno != 0 {
		return os.NewSyscallError("syncfs", errno)
	}
	return nil
}

// Close ends the use of d.
func (d *Disk) Close() error { return d.dir.Close() }

// tellsErrors reports whether syncfs tells of bytes that could not be written:
// kernels before 5.8 do not.
func tellsErrors() bool {
	var name syscall.Utsname
	if syscall.Uname(&name) != nil {
		return false
	}
	var version [2]int
	part := 0
	for _, c := range name.Release {
		switch {
		case c >= '0' && c <= '9':
			version[part] = version[part]*10 + int(c-'0')
		case c == '.' && part == 0:
			part = 1
		default:
			return version[0] > 5 || version[0] == 5 && version[1] >= 8
		}
	}
	return false
}
