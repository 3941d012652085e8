package confine

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// launched: a process can become another program.
const launched = true

// Can asks the kernel.
func Can() Powers {
	return Powers{Limits: true, Files: landlockABI() > 0, Network: seccompArch != 0, Processes: seccompArch != 0, Parent: true}
}

// Attributes sets how cmd is started: in a session of its own, and with spaces
// in user, process, network and IPC namespaces of its own, which not every
// system lets everybody have. The goroutine that starts it must stay on its
// thread until the program ends: that thread's end is what the kernel takes for
// the parent's.
func Attributes(cmd *exec.Cmd, s Spec, spaces bool) {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if spaces {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		if !s.Network {
			attr.Cloneflags |= syscall.CLONE_NEWNET
		}
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// KillTree ends a program that Attributes started, and what it has started.
func KillTree(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // its session's group
	_ = p.Kill()
}

// Wait waits for a program that Attributes started, and ends what is left of its
// session before its number can be another's.
func Wait(cmd *exec.Cmd) error {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return cmd.Wait()
}

// Unspaced reports whether a start failed because this system does not give us
// namespaces.
func Unspaced(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSPC, syscall.EUSERS, syscall.ENOSYS, syscall.EACCES} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// restrict takes rights from this thread, which then becomes the program.
func restrict(s Spec) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for _, l := range []struct {
		resource int
		max      uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, uint64(s.Open)},
		{unix.RLIMIT_FSIZE, uint64(s.FileSize)},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return err
		}
	}
	if os.Getpid() == 1 { // counted apart from the user's other processes only in a space of its own
		if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: uint64(s.Tasks), Max: uint64(s.Tasks)}); err != nil {
			return err
		}
	}
	// If memory runs out all the same, this goes first; and it is polite.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(1000)), 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 5)
	if !s.AllFiles {
		if err := landlock(s); err != nil {
			return err
		}
	}
	if err := seccomp(s); err != nil {
		return err
	}
	// Cleared by the kernel where rights have changed in between.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}
