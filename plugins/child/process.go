package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

// maxHello bounds the line by which a process says where it can be called.
const maxHello = 16 << 10

// drainTime is how long the pipes of a process that has ended may be held open
// by whatever has come of it.
const drainTime = time.Second

// endTime is how long a process that has closed its standard output may take to end.
const endTime = 5 * time.Second

// errSpaces: the system does not let us have namespaces.
var errSpaces = errors.New("no namespaces here")

// process is how go-plugin sees a process. It differs from go-plugin's own in
// that the process is confined and dies with this one, that it may write what it
// likes, and that only its own socket is called.
type process struct {
	cfg     Config
	spaces  bool
	env     []string // set before Start, like sockets
	sockets string
	failed  error // why it was not started; set by Start

	hello, words   *io.PipeReader // what go-plugin reads
	helloW, wordsW *io.PipeWriter

	mu    sync.Mutex // guards cmd, ended and gone
	cmd   *exec.Cmd  // once it is started
	ended bool       // it is not to run, or not any more
	gone  bool       // it has ended, and its number may be another's
	slain bool       // it was ended by end
	last  lastWords  // what it has said

	exited chan struct{} // closed when it has ended, before its pipes are read to the end
	done   chan struct{} // closed when it has ended, or was not started
	exit   error         // set before
}

var _ runner.Runner = (*process)(nil)

func newProcess(cfg Config, spaces bool) *process {
	p := &process{cfg: cfg, spaces: spaces, exited: make(chan struct{}), done: make(chan struct{})}
	p.hello, p.helloW = io.Pipe()
	p.words, p.wordsW = io.Pipe()
	return p
}

// Start starts it, on a thread that stays until it ends.
func (p *process) Start(context.Context) error {
	started := make(chan error, 1)
	go p.live(started)
	p.failed = <-started
	return p.failed
}

// live is the life of the process.
func (p *process) live(started chan<- error) {
	runtime.LockOSThread() // the kernel ends the process when this thread ends
	defer runtime.UnlockOSThread()
	defer close(p.done)
	// Its standard input ends when this process does, on any system.
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		started <- err
		return
	}
	defer lifeline.Close()
	out, errs, err := p.launch(stdin)
	stdin.Close()
	if err != nil {
		started <- err
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(func() { p.listen(out) })
	pipes.Go(func() { p.log(errs) })
	started <- nil
	p.exit = confine.Wait(p.cmd)
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	close(p.exited)
	lifeline.Close()
	deadline := time.Now().Add(drainTime)
	_ = out.SetReadDeadline(deadline)
	_ = errs.SetReadDeadline(deadline)
	pipes.Wait()
}

// launch starts the process and returns its standard output and error.
func (p *process) launch(stdin *os.File) (out, errs *os.File, err error) {
	spec := p.cfg.Spec
	spec.Write = append(slices.Clone(spec.Write), p.sockets)
	cmd, err := spec.Command(p.cfg.Launcher, append(slices.Clone(p.cfg.Env), p.env...))
	if err != nil {
		return nil, nil, err
	}
	confine.Attributes(cmd, spec, p.spaces)
	out, outW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	errs, errsW, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, out.Close(), outW.Close())
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, outW, errsW
	p.mu.Lock() // over the fork, so that end cannot fall in between
	if p.ended {
		err = context.Canceled
	} else if err = cmd.Start(); err == nil {
		p.cmd = cmd
	}
	p.mu.Unlock()
	outW.Close()
	errsW.Close()
	if err != nil {
		out.Close()
		errs.Close()
		if p.spaces && confine.Unspaced(err) {
			err = fmt.Errorf("%w: %w", errSpaces, err)
		}
		return nil, nil, err
	}
	return out, errs, nil
}

// listen hands the first line on, and throws the rest away: a process that goes
// on writing must neither block nor fill our memory.
func (p *process) listen(out *os.File) {
	defer out.Close()
	r := bufio.NewReaderSize(out, maxHello)
	line, err := r.ReadSlice('\n')
	if err != nil && errors.Is(err, bufio.ErrBufferFull) {
		line = []byte("a line of " + strconv.Itoa(maxHello) + " bytes and more\n")
	}
	if len(line) == 0 { // it is about to end, and how is better known than that it said nothing
		timer := time.NewTimer(min(endTime, p.cfg.StartTimeout/2))
		select {
		case <-p.exited:
		case <-timer.C:
		}
		timer.Stop()
	}
	_, _ = p.helloW.Write(line)
	_, _ = io.Copy(io.Discard, r)
	p.helloW.Close()
}

func (p *process) log(errs *os.File) {
	defer errs.Close()
	defer p.wordsW.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := errs.Read(buf)
		p.last.write(buf[:n])
		if p.cfg.Log != nil {
			_, _ = p.cfg.Log.Write(buf[:n]) // a log that fails does not stop the pipe
		}
		if err != nil {
			return
		}
	}
}

// end ends the process, also one that has not started yet.
func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.cmd != nil && !p.gone {
		p.slain = true
		confine.KillTree(p.cmd.Process)
	}
}

// ending says how it ended, once it is done.
func (p *process) ending() error {
	if p.exit == nil {
		return errors.New("exit status 0")
	}
	return p.exit
}

// byItself reports, of one that is done, whether it ended before it was made to.
func (p *process) byItself() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bad, ok := errors.AsType[*exec.ExitError](p.exit); ok && p.slain && runtime.GOOS != "windows" {
		return bad.ExitCode() >= 0 // else by a signal, which may be ours
	}
	return !p.slain
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Wait waits for its end.
func (p *process) Wait(context.Context) error {
	<-p.done
	return p.exit
}

// Kill ends it.
func (p *process) Kill(context.Context) error {
	p.end()
	return nil
}

// Stdout is its first line.
func (p *process) Stdout() io.ReadCloser { return p.hello }

// Stderr ends with it: what it says goes to the log alone.
func (p *process) Stderr() io.ReadCloser { return p.words }

// Name is for messages.
func (p *process) Name() string { return p.cfg.ID }

// ID is its number.
func (p *process) ID() string { return strconv.Itoa(p.pid()) }

// Diagnose has nothing to add.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost refuses to call anything but a socket in the folder that was
// made for it: what the process says is no reason to connect elsewhere.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	switch {
	case network == "unix" && filepath.Dir(filepath.Clean(address)) == filepath.Clean(p.sockets):
		return network, address, nil
	case network == "tcp" && runtime.GOOS == "windows" && loopback(address):
		return network, address, nil
	}
	return "", "", fmt.Errorf("%w: it wants to be called at %s %q", plugins.ErrFailed, network, address)
}

// HostToPlugin is for a broker, which there is none of.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
