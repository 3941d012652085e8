package confine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data: number, architecture, first argument.
const (
	offNr   = 0
	offArch = 4
	offArg0 = 16 // its low half: both architectures are little-endian
)

// program is a filter in the making: straight lines of tests, each of which ends
// in a verdict or goes on with the next.
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

// refuse lets a system call fail with errno.
func (p *program) refuse(nr uintptr, errno unix.Errno) {
	p.load(offNr)
	p.unless(unix.BPF_JEQ, uint32(nr), 1)
	p.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
}

// refuseUnless lets a system call fail unless its first argument is want.
func (p *program) refuseUnless(nr uintptr, want uint32, errno unix.Errno) {
	p.load(offNr)
	p.unless(unix.BPF_JEQ, uint32(nr), 3)
	p.load(offArg0)
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: want, Jt: 1})
	p.ret(unix.SECCOMP_RET_ERRNO | uint32(errno))
}

// filter is the whole program for a process with this id.
func filter(s Spec, pid int) program {
	var p program
	p.load(offArch)
	p.unless(unix.BPF_JEQ, seccompArch, 1)
	*p.skip() = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 1}
	p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	if foreignNr != 0 { // another calling convention with other numbers
		p.load(offNr)
		p.unless(unix.BPF_JGE, foreignNr, 1)
		p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	}
	for _, nr := range neverCalls { // ways around all that follows, or out
		p.refuse(nr, unix.EPERM)
	}
	p.refuse(unix.SYS_IO_URING_SETUP, unix.ENOSYS)
	if !s.Network {
		p.refuseUnless(unix.SYS_SOCKET, unix.AF_UNIX, unix.EAFNOSUPPORT)
		// Nor may it call a local service in the user's name.
		p.refuse(unix.SYS_CONNECT, unix.EACCES)
	}
	if !s.Spawn {
		for _, nr := range forkCalls {
			p.refuse(nr, unix.EPERM)
		}
		p.refuse(unix.SYS_CLONE3, unix.ENOSYS) // its flags cannot be seen; who gets this uses clone
		p.load(offNr)
		p.unless(unix.BPF_JEQ, unix.SYS_CLONE, 3)
		p.load(offArg0)
		*p.skip() = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jt: 1}
		p.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
		for _, nr := range [...]uintptr{unix.SYS_KILL, unix.SYS_TGKILL} {
			p.refuseUnless(nr, uint32(pid), unix.EPERM)
		}
		p.refuse(unix.SYS_TKILL, unix.EPERM)
		p.refuse(unix.SYS_PIDFD_SEND_SIGNAL, unix.EPERM)
	}
	p.ret(unix.SECCOMP_RET_ALLOW)
	return p
}

func (p *program) skip() *unix.SockFilter {
	*p = append(*p, unix.SockFilter{})
	return &(*p)[len(*p)-1]
}

// neverCalls are refused to every plugin.
var neverCalls = [...]uintptr{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_ADD_KEY, unix.SYS_KEYCTL, unix.SYS_REQUEST_KEY, unix.SYS_USERFAULTFD, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE,
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
