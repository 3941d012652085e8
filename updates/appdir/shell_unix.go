//go:build unix

package appdir

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// watched runs a command beside a watcher, which is nobody's child and of the same group:
// it waits for a line on descriptor 3, and kills the group if that ends without one.
const watched = `( (read -r line <&3 || kill -KILL 0) >/dev/null 2>&1 & ) ; exec 3<&-; exec /bin/sh -c "$1"`

// shell is a command of the system's shell in a group of its own, which ends with ctx,
// and with this process, however that ends. What the command leaves running stays, once
// done was called.
func shell(ctx context.Context, command string) (cmd *exec.Cmd, done func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.CommandContext(ctx, "/bin/sh", "-c", watched, "sh", command)
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd, func() {
		_, _ = w.Write([]byte("\n")) // nobody reads if the group was killed
		_, _ = w.Close(), r.Close()
	}, nil
}
