package confine

import "golang.org/x/sys/unix"

const (
	seccompArch = unix.AUDIT_ARCH_AARCH64
	foreignNr   = 0
)

var forkCalls = [...]uintptr{} // clone alone
