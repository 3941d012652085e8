//go:build !unix

package confine

import (
	"errors"
	"os"
	"os/exec"
)

// launched: a process cannot become another program, and there is nothing that
// it could take away from itself.
const launched = false

// Can says that nothing is enforced on such a system.
func Can() Powers { return Powers{} }

// Attributes has nothing to set here.
func Attributes(*exec.Cmd, Spec, bool) {}

// KillTree ends a program.
func KillTree(p *os.Process) { _ = p.Kill() }

// Wait waits for a program that Attributes started.
func Wait(cmd *exec.Cmd) error { return cmd.Wait() }

// Unspaced: there are no namespaces here, and none were asked for.
func Unspaced(error) bool { return false }

func restrict(Spec) error { return nil }

func unreadable(error) bool { return false }

func become(Spec, []string, []string) error { return errors.ErrUnsupported }
