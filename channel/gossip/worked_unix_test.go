//go:build unix

package gossip

import "syscall"

// worked is how many seconds of processors this process has taken.
func worked() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec) + float64(u.Stime.Sec) + (float64(u.Utime.Usec)+float64(u.Stime.Usec))/1e6
}
