package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/sqlite"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/child"
	"github.com/anonymous-media-library/aml/plugins/confine"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// State is what a plugin's process does.
type State string

// The states.
const (
	Idle     State = "idle"     // it is started when it is asked
	Starting State = "starting" //
	Ready    State = "ready"
	Waiting  State = "waiting" // it failed, and is started again later
	Off      State = "off"     // it failed too often, or cannot be run
)

// Bounds of a process beside memory.
const (
	maxOpen     = 256
	maxFileSize = 1 << 30
	maxTasks    = 256
)

// member is one enabled plugin. Its process is the business of one goroutine,
// life.
type member struct {
	h      *Host
	plugin shelf.Plugin
	eager  bool // it is started though nobody asks

	wake   chan struct{} // holds one: somebody asks
	cancel context.CancelFunc
	ended  chan struct{}
	now    func() time.Time

	mu       sync.Mutex // guards what follows
	state    State
	changed  chan struct{} // closed when the state changes
	child    *child.Child  // when Ready
	broken   chan error    // of that child; holds one
	why      error         // of Waiting and Off
	failures []time.Time
	strikes  int // answers in a row that came too late
	starts   int
	pipes    int   // that were made
	kept     int64 // bytes on disk, when that was last looked at
	log      *child.Log
	stats    map[plugins.Hook]*Stats
}

func newMember(h *Host, p shelf.Plugin) *member {
	m := &member{
		h: h, plugin: p, wake: make(chan struct{}, 1), ended: make(chan struct{}), now: time.Now,
		state: Idle, changed: make(chan struct{}), stats: map[plugins.Hook]*Stats{},
	}
	m.eager = p.Manifest.Has(plugins.Observe)
	if p.Off != nil {
		m.state, m.why = Off, fmt.Errorf("%w: %s", plugins.ErrOff, p.Off.Reason)
	}
	return m
}

func (m *member) priority() int {
	if m.plugin.Priority != nil {
		return *m.plugin.Priority
	}
	return m.plugin.Manifest.Priority
}

// begin starts the member's life.
func (m *member) begin(ctx context.Context) {
	ctx, m.cancel = context.WithCancel(ctx)
	m.h.lives.Go(func() {
		defer close(m.ended)
		m.life(ctx)
	})
}

// retire ends it and waits.
func (m *member) retire() {
	m.cancel()
	<-m.ended
}

func (m *member) life(ctx context.Context) {
	log, err := child.OpenLog(m.h.cfg.Shelf.LogFile(m.plugin.ID), nil)
	if err != nil {
		m.off(err, false)
	} else {
		defer log.Close()
		m.mu.Lock()
		m.log = log
		m.mu.Unlock()
	}
	for m.current() != Off {
		if !m.eager {
			select {
			case <-m.wake:
			case <-ctx.Done():
				m.set(Off, nil, plugins.ErrOff)
				return
			}
		}
		err := m.once(ctx)
		if ctx.Err() != nil {
			m.set(Off, nil, plugins.ErrOff)
			return
		}
		pause, again := m.failed(err)
		if !again {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			m.set(Idle, nil, nil)
		case <-ctx.Done():
			timer.Stop()
		}
	}
	<-ctx.Done()
}

// once runs the process and returns why it does not run any more.
func (m *member) once(ctx context.Context) error {
	m.set(Starting, nil, nil)
	c, run, err := m.start(ctx)
	if err != nil {
		return err
	}
	broken := make(chan error, 1)
	m.mu.Lock()
	m.broken, m.strikes = broken, 0
	m.mu.Unlock()
	m.set(Ready, c, nil)
	var feeding sync.WaitGroup
	if m.plugin.Manifest.Has(plugins.Observe) && m.h.cfg.Journal != nil {
		feeding.Go(func() { m.observe(ctx, c) })
	}
	watching, enough := context.WithCancel(ctx)
	feeding.Go(func() {
		memory, _ := m.memory()
		if err := m.watch(watching, c, m.h.cfg.Shelf.StateFolder(m.plugin.ID), memory); err != nil {
			select {
			case broken <- err:
			default: // it is being ended already
			}
		}
	})
	select {
	case <-c.Done():
		err = fmt.Errorf("%w: it ended by itself: %w", plugins.ErrFailed, c.Err())
	case err = <-broken:
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.set(Starting, nil, nil) // no call gets it any more
	enough()
	c.Stop()
	feeding.Wait()
	return errors.Join(err, run.Release())
}

// start makes a checked copy and starts it.
func (m *member) start(ctx context.Context) (_ *child.Child, _ *shelf.Run, err error) {
	p, cfg := m.plugin, m.h.cfg
	settings, err := p.Manifest.Settings(p.Config)
	if err != nil {
		return nil, nil, err
	}
	state, err := cfg.Shelf.State(p.ID)
	if err != nil {
		return nil, nil, err
	}
	if err := m.measure(state, 0); err != nil {
		return nil, nil, err
	}
	run, err := cfg.Shelf.Prepare(ctx, p, runtime.GOOS+"/"+runtime.GOARCH)
	if err != nil {
		return nil, nil, err
	}
	memory, err := m.memory()
	m.mu.Lock()
	m.starts++
	log := m.log
	m.mu.Unlock()
	var c *child.Child
	if err == nil {
		c, err = child.Start(ctx, child.Config{
			ID: p.ID,
			Spec: confine.Spec{
				Path: run.Binary, Args: p.Manifest.Args, Dir: state,
				Memory: memory, Open: maxOpen, FileSize: maxFileSize, Tasks: maxTasks,
				Network: p.Has(plugins.Network), Spawn: p.Has(plugins.Processes), AllFiles: p.Has(plugins.Files) && len(p.Paths) == 0,
				Read: run.Folders(), Write: append(m.paths(), state),
			},
			Env:      environment(state, memory),
			Launcher: cfg.Launcher, Sockets: cfg.Sockets, Log: log,
			StartTimeout: cfg.StartTimeout, StopTimeout: cfg.StopTimeout,
		})
	}
	if err == nil {
		if err = m.greet(ctx, c, settings, state); err != nil {
			c.Stop()
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, run.Release())
	}
	log.Printf("%s %s is ready", p.ID, p.Version)
	return c, run, nil
}

// memory is how much its process may have.
func (m *member) memory() (int64, error) {
	if m.plugin.Memory != 0 {
		return m.plugin.Memory, nil
	}
	return m.plugin.Manifest.MemoryLimit()
}

// paths are the files that the operator has opened.
func (m *member) paths() []string {
	if !m.plugin.Has(plugins.Files) {
		return nil
	}
	return slices.Clone(m.plugin.Paths)
}

// environment is all that the process inherits: nothing of the user's.
func environment(state string, memory int64) []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + state, "TMPDIR=" + filepath.Join(state, "tmp"),
		"GOMEMLIMIT=" + strconv.FormatInt(memory/5*4, 10), // a Go plugin then collects rather than dies
	}
}

// greet makes the first calls.
func (m *member) greet(ctx context.Context, c *child.Child, settings map[string]string, state string) error {
	ctx, cancel := context.WithTimeout(ctx, m.h.cfg.StartTimeout)
	defer cancel()
	client := pluginv1.NewPluginClient(c.Conn())
	about, err := client.Describe(ctx, &pluginv1.DescribeRequest{HostVersion: m.h.cfg.Version})
	if err != nil {
		return fmt.Errorf("%w: it does not describe itself: %s", plugins.ErrFailed, child.Said(err))
	}
	if about.Id != m.plugin.ID || about.Version != m.plugin.Version {
		return fmt.Errorf("%w: it says that it is %.40q %.40q, and is installed as %s %s", plugins.ErrFailed, about.Id, about.Version, m.plugin.ID, m.plugin.Version)
	}
	var want []pluginv1.Hook
	for _, r := range plugins.Rules() {
		if m.plugin.Manifest.Has(r.Hook) {
			want = append(want, r.Proto)
		}
	}
	slices.Sort(about.Hooks)
	if !slices.Equal(about.Hooks, want) {
		return fmt.Errorf("%w: it says that it has the hooks %.200v, and plugin.yaml declares %v", plugins.ErrFailed, about.Hooks, want)
	}
	req := &pluginv1.ConfigureRequest{Config: settings, StateFolder: state}
	for _, g := range m.plugin.Granted {
		req.Granted = append(req.Granted, g.Proto())
	}
	if _, err := client.Configure(ctx, req); err != nil {
		return fmt.Errorf("%w: it refuses its configuration: %s", plugins.ErrFailed, child.Said(err))
	}
	return nil
}

func (m *member) current() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *member) set(s State, c *child.Child, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.child, m.why = s, c, why
	close(m.changed)
	m.changed = make(chan struct{})
}

// hopeless reports whether starting again cannot help.
func hopeless(err error) bool {
	for _, e := range []error{errTooMuch, plugins.ErrChanged, plugins.ErrPlatform, plugins.ErrConfig, plugins.ErrManifest} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// exhausted: the host found no room on a disk, or no more open files, memory or
// processes. What a plugin says never is such an error.
func exhausted(err error) bool { return err != nil && (sqlite.IsFull(err) || disk.Exhausted(err)) }

// failed takes note of a failure, and says whether and when to try again.
func (m *member) failed(err error) (pause time.Duration, again bool) {
	if exhausted(err) && !hopeless(err) { // that is no fault of the plugin: it waits until the machine has some
		m.log.Printf("it waits: %v", err)
		m.h.cfg.Log.Warn("plugin waits for what the machine has none left of", "plugin", m.plugin.ID, "error", err)
		m.set(Waiting, nil, fmt.Errorf("%w: it is tried again: %w", plugins.ErrFailed, err))
		return m.h.cfg.Scarce, true
	}
	m.mu.Lock()
	log, now := m.log, m.now()
	m.failures = slices.DeleteFunc(m.failures, func(t time.Time) bool { return now.Sub(t) > m.h.cfg.FailureWindow })
	m.failures = append(m.failures, now)
	n := len(m.failures)
	m.mu.Unlock()
	log.Printf("failure %d: %v", n, err)
	m.h.cfg.Log.Warn("plugin failed", "plugin", m.plugin.ID, "failures", n, "error", err)
	if hopeless(err) || n > len(m.h.cfg.Backoff) {
		m.off(err, true)
		return 0, false
	}
	if !errors.Is(err, plugins.ErrFailed) { // which says so already
		err = fmt.Errorf("%w: %w", plugins.ErrFailed, err)
	}
	m.set(Waiting, nil, err)
	return m.h.cfg.Backoff[n-1], true
}

// off turns the plugin off until the operator turns it on.
func (m *member) off(err error, tell bool) {
	if tell {
		m.log.Printf("it is off now: aml plugin-enable %s turns it on again", m.plugin.ID)
		m.h.cfg.Log.Error("plugin is off", "plugin", m.plugin.ID, "error", err)
		// What was changed on disk cannot be noted in a lock that it contradicts; then it
		// is found again at the next start.
		_ = m.h.cfg.Shelf.Change(m.plugin.ID, func(p *plugins.Installed, _ plugins.Manifest) error {
			p.Off = &plugins.Broken{At: m.now().UTC().Truncate(time.Second), Reason: child.Said(err)}
			return nil
		})
	}
	m.set(Off, nil, fmt.Errorf("%w: %w", plugins.ErrOff, err))
}
