// Package host asks plugins. It keeps the processes of those that are enabled,
// calls their hooks in order and in time, merges what they say, and knows what
// their silence means.
//
// A plugin gets what was verified, and of that only what it was granted. What it
// says is bounded, checked, and can only narrow what the core would do. It must
// never let a plugin hold up, crash or fill the node: each call has a deadline,
// each answer a limit, and a process that fails is started again only a few
// times.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// MaxSockets is how long the path of Config.Sockets may be: what comes below it has
// about 40 bytes, and 103 are allowed.
const MaxSockets = 60

// Config is what New needs.
type Config struct {
	Shelf *shelf.Shelf

	// Launcher is the argv of a program that calls confine.Main. If empty, plugins
	// are started with no confinement.
	Launcher []string

	// Sockets is a folder for sockets, private to the user, with a short path.
	Sockets string

	Version string       // of aml, told to plugins
	Log     *slog.Logger // if nil, slog.Default()

	// Quiet leaves it to answers to say that it is not known which plugins there are.
	Quiet bool

	// Journal keeps events for those who observe. If nil, nobody observes.
	Journal *Journal

	// Backoff is how long is waited after the first failure within FailureWindow, the
	// second, and so on; one more turns the plugin off. If nil, 1 s and 10 s.
	Backoff       []time.Duration
	FailureWindow time.Duration // if zero, an hour

	// Look is how often the memory of a process is looked at; what it keeps on disk, each
	// tenth time. If zero, 1 s.
	Look time.Duration

	// Scarce is how long is waited where the machine has no room, open files, memory or
	// processes left, which counts as nobody's failure. If zero, 10 s.
	Scarce time.Duration

	// Deadline replaces a hook's deadline, for tests. If nil, the table's.
	Deadline func(plugins.Rule) time.Duration

	StartTimeout time.Duration // if zero, 10 s
	StopTimeout  time.Duration // if zero, 2 s
}

func (c Config) validate() (Config, error) {
	if c.Shelf == nil {
		return c, errors.New("plugin host: want a shelf")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Backoff == nil {
		c.Backoff = []time.Duration{time.Second, 10 * time.Second}
	}
	if c.FailureWindow == 0 {
		c.FailureWindow = time.Hour
	}
	if c.Look == 0 {
		c.Look = time.Second
	}
	if c.Scarce == 0 {
		c.Scarce = 10 * time.Second
	}
	if c.Deadline == nil {
		c.Deadline = func(r plugins.Rule) time.Duration { return r.Deadline }
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 10 * time.Second
	}
	return c, nil
}

// Host is all plugins of a node. Its methods may be called from many goroutines
// at once; hooks are answered while Run runs.
type Host struct {
	cfg Config

	syncing sync.Mutex // one Sync at a time; held while plugins end

	known chan struct{} // closed when it is known which plugins there are

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	members []*member // in the order in which they are asked
	broken  error     // why it is not known
	lives   sync.WaitGroup
}

// New returns a Host. It starts nothing.
func New(cfg Config) (*Host, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Host{cfg: cfg, known: make(chan struct{})}, nil
}

// Run keeps plugins until ctx ends, and returns when all of them have ended.
func (h *Host) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	h.mu.Unlock()
	if err := h.Sync(); err != nil && !h.cfg.Quiet {
		h.cfg.Log.Error("plugins are not run", "error", err) // the node is more than its plugins
	}
	close(h.known)
	h.again(ctx)
	h.syncing.Lock() // nothing is started any more
	defer h.syncing.Unlock()
	h.lives.Wait()
	return nil
}

// again tries until ctx ends what the machine had nothing left for: to know which
// plugins there are.
func (h *Host) again(ctx context.Context) {
	tick := time.NewTicker(h.cfg.Scarce)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		err := h.broken
		h.mu.Unlock()
		if exhausted(err) {
			_ = h.Sync() // what is wrong is in broken
		}
	}
}

// Sync makes what runs what the shelf says: call it after a change. It returns
// when what is not to run any more has ended.
func (h *Host) Sync() error {
	h.syncing.Lock()
	defer h.syncing.Unlock()
	list, err := h.cfg.Shelf.List()
	unknown := err
	for _, p := range list {
		if p.Enabled && p.Err != nil { // it may be one without which nothing is to go on
			unknown = fmt.Errorf("which hooks plugin %s has is not known: %w", p.ID, p.Err)
		}
	}
	h.mu.Lock()
	h.broken = unknown
	ctx, before := h.ctx, h.members
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if ctx == nil || ctx.Err() != nil {
		return nil // Run does it, or did
	}
	var now []*member
	for _, p := range list {
		if !p.Enabled {
			continue
		}
		i := slices.IndexFunc(before, func(m *member) bool { return same(m.plugin, p) && (m.current() != Off || p.Off != nil) })
		if i >= 0 {
			now = append(now, before[i])
			continue
		}
		now = append(now, newMember(h, p))
	}
	slices.SortFunc(now, func(a, b *member) int {
		return cmp.Or(cmp.Compare(b.priority(), a.priority()), cmp.Compare(a.plugin.ID, b.plugin.ID))
	})
	h.mu.Lock()
	h.members = now
	h.mu.Unlock()
	for _, m := range before {
		if !slices.Contains(now, m) {
			m.retire()
		}
	}
	for _, m := range now {
		if !slices.Contains(before, m) {
			m.begin(ctx)
		}
	}
	return nil
}

// same reports whether two entries of the lock would run alike.
func same(a, b shelf.Plugin) bool {
	a.Off, b.Off, a.Err, b.Err = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// with returns the plugins that have a hook and what it needs, in order, once it
// is known which there are: before that nothing may pass them by.
func (h *Host) with(ctx context.Context, hook plugins.Hook) ([]*member, error) {
	select {
	case <-h.known:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return nil, h.broken
	}
	return h.having(hook), nil
}

// having is with of those that are known by now. mu is held.
func (h *Host) having(hook plugins.Hook) (out []*member) {
	for _, m := range h.members {
		if m.plugin.Manifest.Has(hook) && len(m.plugin.Without(hook)) == 0 {
			out = append(out, m)
		}
	}
	return out
}

// Has reports whether a plugin is enabled for a hook.
func (h *Host) Has(hook plugins.Hook) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.having(hook)) > 0
}

// find returns the plugin id if it has a hook.
func (h *Host) find(ctx context.Context, id string, hook plugins.Hook) (*member, error) {
	members, err := h.with(ctx, hook)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.plugin.ID == id {
			return m, nil
		}
	}
	return nil, &unavailable{id: id, hook: hook, why: h.why(id, hook)}
}

// why says what keeps a plugin from being asked, and the remedy.
func (h *Host) why(id string, hook plugins.Hook) string {
	p, err := h.cfg.Shelf.Get(id)
	switch needs := p.Without(hook); {
	case err != nil:
		return err.Error()
	case p.Err != nil:
		return p.Err.Error()
	case !p.Manifest.Has(hook):
		return fmt.Sprintf("it has %v", p.Manifest.Hooks)
	case len(needs) > 0:
		return fmt.Sprintf("it was not granted %v; %s", needs, p.HowToEnable(p.Manifest, hook))
	default:
		return "it is disabled; aml plugin-enable " + id
	}
}

// unavailable: there is no such plugin that is enabled, has the hook, and was
// granted what it needs.
type unavailable struct {
	id   string
	hook plugins.Hook
	why  string
}

func (u *unavailable) Error() string {
	return "no enabled plugin " + u.id + " with hook " + string(u.hook) + ": " + u.why
}

func (u *unavailable) Unwrap() error { return plugins.ErrUnknown }
