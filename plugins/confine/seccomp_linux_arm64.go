package confine

import "golang.org/x/sys/unix"

const (
	seccompArch = unix.AUDIT_ARCH_AARCH64
	foreignNr   = 0
)

var forkCalls = [...]uintptr{} // clone alone

// metaCalls are those that newer architectures have not.
var metaCalls = [...]uintptr{}
