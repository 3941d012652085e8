package confine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data: number, architecture, arguments.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16 // 8 bytes each, the low half first: both architectures are little-endian
)

// program is a filter in the making: straight lines of tests, each of which ends
// in a verdict or goes on with the next. So no jump is longer than one test.
type program []unix.SockFilter

func (p *program) load(off uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off})
}

func (p *program) ret(k uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k})
}

// unless skips the next n instructions unless what is loaded passes the test.
func (p *program) unless(test uint16, k uint32, n uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jf: n})
}

// refuse lets system calls fail with errno.
func (p *program) refuse(errno unix.Errno, calls ...uintptr) {
	for _, nr := range calls {
		p.load(offNr)
		p.unless(unix.BPF_JEQ, uint32(nr), 1)
		p.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
	}
}

// arg is an argument of a system call: the bits of its low half that count.
type arg struct {
	n    uint32 // from 0
	mask uint32 // 0: all
}

// size is how many instructions it takes to load it.
func (a arg) size() uint8 {
	if a.mask == 0 {
		return 1
	}
	return 2
}

func (p *program) argument(a arg) {
	p.load(offArgs + 8*a.n)
	if a.mask != 0 {
		*p = append(*p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: a.mask})
	}
}

// refuseIf lets a system call fail if its argument is one of some.
func (p *program) refuseIf(errno unix.Errno, nr uintptr, a arg, some ...uint32) {
	for _, k := range some {
		p.load(offNr)
		p.unless(unix.BPF_JEQ, uint32(nr), a.size()+2)
		p.argument(a)
		p.unless(unix.BPF_JEQ, k, 1)
		p.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
	}
}

// refuseUnless lets a system call fail unless its argument is one of some.
func (p *program) refuseUnless(errno unix.Errno, nr uintptr, a arg, some ...uint32) {
	p.load(offNr)
	p.unless(unix.BPF_JEQ, uint32(nr), a.size()+uint8(len(some))+1)
	p.argument(a)
	for i, k := range some { // past the verdict
		*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(len(some) - i)})
	}
	p.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
}

// seccomp puts the filter on this thread. Where it is not written for the
// architecture nothing happens: Can says so.
func seccomp(s Spec) error {
	if seccompArch == 0 {
		return nil
	}
	p := filter(s, os.Getpid())
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}
