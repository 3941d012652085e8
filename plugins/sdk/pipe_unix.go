//go:build unix

package sdk

import "syscall"

// pipeFlags let a read of a pipe be given up.
const pipeFlags = syscall.O_NONBLOCK
