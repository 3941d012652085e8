//go:build linux

package netlab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Host is a machine of the lab: a network namespace with loopback and one
// interface, eth0.
type Host struct {
	lab  *Lab
	name string
	addr netip.Addr
	nat  *NAT // nil: none

	tun      *os.File
	up, down *pipe
	jobs     chan func()   // run by the thread that is in the namespace
	ended    chan struct{} // closed when that thread has ended
	workers  sync.WaitGroup
	stopOnce sync.Once

	mu       sync.Mutex // guards what follows
	commands []*Cmd
}

// mtu is the Internet's usual one.
const mtu = 1500

// start makes the namespace and its device.
func (h *Host) start(link Link) error {
	h.jobs, h.ended = make(chan func()), make(chan struct{})
	ready := make(chan error)
	go h.live(ready)
	if err := <-ready; err != nil {
		return err
	}
	seed := uint64(h.addr.As4()[3]) + uint64(h.addr.As4()[2])<<8
	h.up = newPipe(h.lab, link, seed*2, func(p packet) { h.lab.route(h, p) })
	h.down = newPipe(h.lab, link, seed*2+1, func(p packet) {
		if _, err := h.tun.Write(p); err != nil {
			h.lab.dropped.Add(1) // the device's queue is full, or it is gone
		}
	})
	h.workers.Go(h.up.run)
	h.workers.Go(h.down.run)
	h.workers.Go(h.read)
	return nil
}

// live is the thread that is in the namespace.
func (h *Host) live(ready chan<- error) {
	// Never unlocked: the thread ends with this function, and with it the
	// namespace, and whatever it started (Pdeathsig).
	runtime.LockOSThread()
	defer close(h.ended)
	tun, err := enter(h.addr)
	h.tun = tun
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-h.jobs:
			f()
		case <-h.lab.ctx.Done():
			return
		}
	}
}

// read passes on what the host sends.
func (h *Host) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := h.tun.Read(buf)
		if err != nil {
			return // closed
		}
		h.up.send(buf[:n])
	}
}

// stop ends the host's programs and its namespace. The lab's context is over,
// or the host was never shown to anybody.
func (h *Host) stop() {
	h.stopOnce.Do(func() {
		h.lab.cancel()
		h.mu.Lock()
		commands := h.commands
		h.mu.Unlock()
		for _, c := range commands {
			c.Process.Kill()
			c.Wait()
		}
		<-h.ended
		h.tun.Close()
		h.workers.Wait()
	})
}

// Addr is the host's address on eth0.
func (h *Host) Addr() netip.Addr { return h.addr }

// SetLink changes the host's link while it is used.
func (h *Host) SetLink(link Link) {
	h.up.set(link)
	h.down.set(link)
}

// errClosed: the lab is torn down.
var errClosed = errors.New("netlab: the lab is closed")

// Do runs f on the thread that is in the host's namespace, one at a time.
// Sockets that f opens belong to the host, and can be used anywhere
// afterwards; goroutines that f starts are not in the namespace.
func (h *Host) Do(f func() error) error {
	result := make(chan error, 1)
	select {
	case h.jobs <- func() { result <- f() }:
		return <-result
	case <-h.lab.ctx.Done():
		return errClosed
	}
}

// Cmd is an exec.Cmd that is started in a host's namespace. It is killed when
// the lab is torn down, at the latest.
type Cmd struct {
	*exec.Cmd
	host *Host
	once sync.Once
	err  error
}

// Command prepares a program to be run on the host. Set what exec.Cmd has to
// be set, then Start and Wait, or Run.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h}
}

// Start starts the program.
func (c *Cmd) Start() error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = new(syscall.SysProcAttr)
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if c.WaitDelay == 0 {
		c.WaitDelay = 5 * time.Second // a grandchild may keep its output open
	}
	if err := c.host.Do(c.Cmd.Start); err != nil {
		return err
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.commands = append(c.host.commands, c)
	return nil
}

// Wait waits until the program has ended. It may be called more than once.
func (c *Cmd) Wait() error {
	c.once.Do(func() { c.err = c.Cmd.Wait() })
	return c.err
}

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}
