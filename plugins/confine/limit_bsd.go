//go:build freebsd || dragonfly

package confine

import "golang.org/x/sys/unix"

func limit(resource int, max uint64) error {
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: int64(max), Max: int64(max)})
}
