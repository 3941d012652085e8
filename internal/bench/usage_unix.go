//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// add takes in what the system counted of a process that ended.
func (u *usage) add(s *os.ProcessState) {
	u.cpu = s.UserTime() + s.SystemTime()
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		u.rss = int64(r.Maxrss)
		if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
			u.rss *= 1024 // counted in KiB everywhere but there
		}
	}
}
