//go:build !unix

package appdir

import (
	"context"
	"os/exec"
)

// shell is a command of the system's shell. What it starts may outlive it.
func shell(ctx context.Context, command string) (*exec.Cmd, func(), error) {
	return exec.CommandContext(ctx, "cmd", "/C", command), func() {}, nil
}
