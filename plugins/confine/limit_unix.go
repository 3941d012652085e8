//go:build unix && !linux && !freebsd && !dragonfly

package confine

import "golang.org/x/sys/unix"

func limit(resource int, max uint64) error {
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: max, Max: max})
}
