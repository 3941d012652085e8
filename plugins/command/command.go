// Package command runs an external program for a bundled plugin: without a
// shell, with a deadline, and with what it says bounded.
//
// The command is the operator's word, what it gets on standard input may be
// hostile. It must never put anything that came from a channel into the argv,
// but the name of a file that this package made.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// maxOutput is how much of what a program says is kept.
const maxOutput = 4 << 10

// fileMark stands for the name of a file with what is handed over.
const fileMark = "{}"

// Command is a program and its arguments.
type Command []string

// Parse reads words with spaces between them; there is no quoting. The program is
// a path or is on PATH.
func Parse(text string) (Command, error) {
	c := Command(strings.Fields(text))
	if len(c) == 0 {
		return nil, errors.New("there is no command")
	}
	if _, err := exec.LookPath(c[0]); err != nil {
		return nil, fmt.Errorf("command %q: %w", c[0], err)
	}
	return c, nil
}

// Result is how a program ended.
type Result struct {
	Code   int    // its exit code
	Output string // the beginning of what it said, one line, for people
}

// Run runs it with input on its standard input, or in a file below temp whose
// name stands where the command has {}. env is added to the environment. A
// program that could not be started, was ended or did not end within the
// deadline gives an error.
func (c Command) Run(ctx context.Context, deadline time.Duration, input io.Reader, temp string, env ...string) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("%s did not end within %v", c[0], deadline))
	defer cancel()
	argv := append(Command{}, c...)
	for i, word := range argv {
		if word != fileMark {
			continue
		}
		path, err := spill(input, temp)
		if err != nil {
			return Result{}, fmt.Errorf("handing over to %s: %w", c[0], err)
		}
		defer os.Remove(path)
		argv[i], input = path, nil
		break
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.WaitDelay = append(os.Environ(), env...), input, 2*time.Second
	out := &bounded{left: maxOutput}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	res := Result{Code: cmd.ProcessState.ExitCode(), Output: out.line()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return res, context.Cause(ctx)
	case errors.As(err, &exit) && res.Code >= 0:
		return res, nil
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EAGAIN):
		return res, fmt.Errorf("%w; grant the capability processes", err)
	}
	return res, err
}

// spill writes what is handed over into a file.
func spill(input io.Reader, temp string) (string, error) {
	f, err := os.CreateTemp(temp, "content-*")
	if err != nil {
		return "", err
	}
	if input != nil {
		_, err = io.Copy(f, input)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// bounded keeps the beginning.
type bounded struct {
	buf  bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.buf.Write(p[:n])
	b.left -= n
	return len(p), nil
}

func (b *bounded) line() string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(b.buf.String(), "?")), " ")
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text)
	if len(text) > 200 {
		text = text[:200]
	}
	return text
}
