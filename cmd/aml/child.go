package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/anonymous-media-library/aml/node/api"
)

// child is this very program, run as another process with a home of its own.
type child struct {
	app     *app
	name    string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	events  chan api.Event // closed when the process has ended
	err     error          // of the process, set before events is closed
	trouble bytes.Buffer   // its standard error, shown if it fails
}

// childGrace is how long a child may take to end when it is asked to.
const childGrace = 10 * time.Second

// start runs a command of aml on loopback, with its home below the demo's
// folder.
func (d *demo) start(ctx context.Context, name string, args ...string) (*child, error) {
	args = append(args, "--json", "--progress", "--home", filepath.Join(d.dir, name), "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false")
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = childGrace
	c := &child{app: d.app, name: name, cmd: cmd, cancel: cancel, events: make(chan api.Event, 64)}
	cmd.Stderr = &c.trouble
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	go c.read(ctx, out)
	return c, nil
}

// read passes on the child's events until it ends.
func (c *child) read(ctx context.Context, out io.Reader) {
	defer close(c.events)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var head struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(lines.Bytes(), &head) != nil || head.Event == "" {
			continue
		}
		select {
		case c.events <- api.Event{Name: head.Event, Raw: bytes.Clone(lines.Bytes())}:
		case <-ctx.Done():
		}
	}
	c.err = c.cmd.Wait()
}

// next returns the child's next event, or why there is none.
func (c *child) next() (api.Event, error) {
	e, ok := <-c.events
	if ok {
		if c.app.json && (e.Name != "progress" || c.app.progress) {
			_ = c.app.line(e.Raw)
		}
		return e, nil
	}
	var why api.Error
	if json.Unmarshal(c.trouble.Bytes(), &why) == nil && why.Code != "" {
		return e, &api.Error{Code: why.Code, Message: c.name + ": " + why.Message}
	}
	return e, fmt.Errorf("the %s ended early: %v\n%s", c.name, c.err, bytes.TrimSpace(c.trouble.Bytes()))
}

// wait skips to the first event of that name and decodes it into v.
func (c *child) wait(name string, v any) error {
	for {
		e, err := c.next()
		if err != nil {
			return err
		}
		if e.Name == name {
			return e.Decode(v)
		}
	}
}

// ignore takes events that nobody waits for, until the child ends, so that it
// never waits for us.
func (c *child) ignore() {
	for range c.events {
	}
}

// stop asks the child to end, kills it if it does not, and waits for it.
func (c *child) stop() {
	c.cancel()
	c.ignore()
}
