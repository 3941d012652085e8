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

func restrict(Spec) error { return nil }

func become(string, []string, []string) error { return errors.ErrUnsupported }

func busy(error) bool { return false }
