package confine

import "golang.org/x/sys/unix"

const (
	seccompArch = unix.AUDIT_ARCH_X86_64
	foreignNr   = 0x40000000 // x32
)

var forkCalls = [...]uintptr{unix.SYS_FORK, unix.SYS_VFORK}
