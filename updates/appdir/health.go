package appdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Health is a command that says whether a version works: by its exit code 0.
type Health struct {
	// Command is run by the shell, in the version's folder, with its number in
	// AML_UPDATE_VERSION. If empty, every version works. On Unix it ends with this
	// process, also if that is killed.
	Command string

	// Timeout is how long it may take; if zero, DefaultHealthTimeout.
	Timeout time.Duration
}

// DefaultHealthTimeout is the time that a health command has.
const DefaultHealthTimeout = time.Minute

// maxSaid is how much of what a health command says last is told.
const maxSaid = 300

func (h Health) check(ctx context.Context, dir, version string) error {
	if h.Command == "" {
		return nil
	}
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = DefaultHealthTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd, done, err := shell(limited, h.Command)
	if err != nil {
		return err
	}
	defer done()
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "AML_UPDATE_VERSION="+version)
	cmd.WaitDelay = time.Second // what it has started may hold its output open
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		err = fmt.Errorf("no answer within %s", timeout)
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return nil
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return fmt.Errorf("%w: its last words: %q", err, last) // quoted: a terminal must not take orders from it
	}
	return err
}

// tail keeps the end of what is written.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	n, err := t.Buffer.Write(p)
	if extra := t.Len() - maxSaid; extra > 0 {
		t.Next(extra)
	}
	return n, err
}
