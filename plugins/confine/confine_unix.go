//go:build unix && !linux

package confine

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// launched: a process can become another program.
const launched = true

// Can says that such a system bounds memory and files, and no more.
func Can() Powers { return Powers{Limits: true} }

// Attributes sets how cmd is started: in a session of its own.
func Attributes(cmd *exec.Cmd, _ Spec, _ bool) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// KillTree ends a program that Attributes started, and its group.
func KillTree(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	_ = p.Kill()
}

// Wait waits for a program that Attributes started.
func Wait(cmd *exec.Cmd) error { return cmd.Wait() }

// Unspaced: there are no namespaces here, and none were asked for.
func Unspaced(error) bool { return false }

func restrict(s Spec) error {
	for _, l := range []struct {
		resource int
		max      uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_NOFILE, uint64(s.Open)}, {unix.RLIMIT_FSIZE, uint64(s.FileSize)}} {
		if err := limit(l.resource, l.max); err != nil {
			return err
		}
	}
	return nil
}

// become bounds memory last: what starts the program may need more than the program.
func become(s Spec, argv, env []string) (err error) {
	if err := limit(unix.RLIMIT_DATA, uint64(s.Memory)); err != nil {
		return err
	}
	for range maxBusy {
		if err = syscall.Exec(s.Path, argv, env); err != syscall.ETXTBSY {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
