//go:build linux && (amd64 || arm64)

package confine

import "golang.org/x/sys/unix"

// filter is the whole program for a process with this id.
func filter(s Spec, pid int) program {
	var p program
	p.load(offArch)
	p.unless(unix.BPF_JEQ, seccompArch, 1)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 1})
	p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	if foreignNr != 0 { // another calling convention with other numbers
		p.load(offNr)
		p.unless(unix.BPF_JGE, foreignNr, 1)
		p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	}
	p.refuse(unix.EPERM, neverCalls[:]...)
	p.refuse(unix.ENOSYS, unix.SYS_IO_URING_SETUP)
	if !s.AllFiles {
		p.files()
	}
	if !s.Network {
		p.network()
	}
	if !s.Spawn {
		p.alone(uint32(pid))
	}
	p.ret(unix.SECCOMP_RET_ALLOW)
	return p
}

// neverCalls are refused to every plugin: ways around all that follows, or out, and
// what is for who keeps the machine.
var neverCalls = [...]uintptr{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR,
	unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_ADD_KEY, unix.SYS_KEYCTL, unix.SYS_REQUEST_KEY, unix.SYS_USERFAULTFD, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT, unix.SYS_ACCT,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
}

// files refuses what Landlock has no right for: to change what is noted of a file
// beside its bytes, by whatever way, and to watch a folder. A filter cannot see whose
// file it is, so that this holds in the plugin's own folder too.
func (p *program) files() {
	p.refuse(unix.EPERM, metaCalls[:]...)
	p.refuse(unix.EPERM,
		unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_FILE_SETATTR,
		unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_SETXATTRAT,
		unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR, unix.SYS_REMOVEXATTRAT,
		unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_FANOTIFY_MARK)
	p.refuseIf(unix.EPERM, unix.SYS_IOCTL, arg{n: 1}, unix.FS_IOC_SETFLAGS, fsSetXattr)
	if landlockABI() < 3 { // it does not see that one
		p.refuse(unix.EPERM, unix.SYS_TRUNCATE)
	}
}

// network leaves the socket that the plugin is called by: a local one that it listens
// on, and pairs. It may call no local service in the user's name; a datagram would
// take no connect.
func (p *program) network() {
	p.refuseUnless(unix.EAFNOSUPPORT, unix.SYS_SOCKET, arg{n: 0}, unix.AF_UNIX)
	p.refuse(unix.EACCES, unix.SYS_CONNECT)
	for _, nr := range [...]uintptr{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
		p.refuseUnless(unix.EACCES, nr, arg{n: 1, mask: sockType}, unix.SOCK_STREAM)
	}
}

// alone leaves the process nobody but itself, and no memory but what its limit
// counts.
func (p *program) alone(pid uint32) {
	p.refuse(unix.EPERM, forkCalls[:]...)
	p.refuse(unix.ENOSYS, unix.SYS_CLONE3) // its flags cannot be seen; who gets this uses clone
	p.refuseIf(unix.EPERM, unix.SYS_CLONE, arg{n: 0, mask: unix.CLONE_THREAD}, 0)

	for _, nr := range [...]uintptr{unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO} {
		p.refuseUnless(unix.EPERM, nr, arg{n: 0}, pid)
	}
	p.refuse(unix.EPERM, unix.SYS_TKILL, unix.SYS_PIDFD_SEND_SIGNAL)
	p.refuseIf(unix.EPERM, unix.SYS_FCNTL, arg{n: 1}, unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG) // a signal by detour
	p.refuseIf(unix.EPERM, unix.SYS_IOCTL, arg{n: 1}, fioSetOwn, unix.SIOCSPGRP)

	for _, nr := range [...]uintptr{unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR} {
		p.refuseUnless(unix.EPERM, nr, arg{n: 0}, 0, pid)
	}
	p.refuseUnless(unix.EPERM, unix.SYS_SETPRIORITY, arg{n: 0}, unix.PRIO_PROCESS)
	p.refuseUnless(unix.EPERM, unix.SYS_IOPRIO_SET, arg{n: 0}, ioprioProcess)
	for _, nr := range [...]uintptr{unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET} {
		p.refuseUnless(unix.EPERM, nr, arg{n: 1}, 0, pid)
	}
	p.refuse(unix.EPERM, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES)

	// RLIMIT_DATA counts neither shared memory nor stacks that grow. What others of the
	// user share by System V's means is theirs, too.
	p.refuseIf(unix.EPERM, unix.SYS_MMAP, arg{n: 3, mask: unix.MAP_SHARED | unix.MAP_ANONYMOUS}, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	p.refuseIf(unix.EPERM, unix.SYS_MMAP, arg{n: 3, mask: unix.MAP_GROWSDOWN}, unix.MAP_GROWSDOWN)
	p.refuse(unix.EPERM, unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL,
		unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MSGCTL, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_SEMTIMEDOP, unix.SYS_SEMCTL,
		unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK)
}

// What golang.org/x/sys does not name.
const (
	sockType      = 0xf // of the second argument of socket; the rest are flags
	ioprioProcess = 1
	fioSetOwn     = 0x8901
	fsSetXattr    = 0x401c5820 // FS_IOC_FSSETXATTR
)
