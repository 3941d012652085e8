// Package kit is the conformance kit for plugins: it runs one as a node does,
// confined and within its deadlines, calls every hook that it declares with
// usual, large, hostile and cancelled input, and says what a node would hold
// against it.
//
// It uses the node's own host, so that it cannot be more lenient. It must never
// touch a home, a network or a file of the user's but the plugin's.
package kit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/host"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// Config is what Run needs.
type Config struct {
	Path     string            // of a folder or archive, absolute
	Bundled  string            // or the id of one of Carried
	Carried  map[string][]byte // plugin.yaml of bundled plugins
	Program  string            // that is started for those
	Launcher []string          // argv of a program that calls confine.Main

	Settings map[string]string // configuration
	Paths    []string          // that the capability files opens; none: all
	Withhold []plugins.Capability
	From     string // what a Source is polled with; if empty, it is not polled, which Result.Left says

	// Slow is by how much deadlines are longer than a node's, for machines under
	// load; if zero, 1.
	Slow int
	// Report is told of each check as it ends; it may be nil.
	Report func(Check)
}

// Check is one thing that was looked at.
type Check struct {
	Hook   plugins.Hook `json:"hook,omitempty"` // empty: the process
	Name   string       `json:"name"`
	OK     bool         `json:"ok"`
	Reason string       `json:"reason,omitempty"`
	Took   string       `json:"took"`
}

// Left is something that was left out.
type Left struct {
	Hook plugins.Hook `json:"hook"`
	Why  string       `json:"why"`
}

// Result is all that was looked at.
type Result struct {
	ID      string   `json:"id"`
	Version string   `json:"version"`
	Checks  []Check  `json:"checks"`
	Failed  int      `json:"failed"`
	Left    []Left   `json:"left_out,omitempty"` // what was not looked at
	Log     []string `json:"log,omitempty"`      // the end of what the plugin has said, if it failed
}

// run is one plugin under test.
type run struct {
	cfg  Config
	host *host.Host
	told *host.Journal
	id   string
	m    plugins.Manifest
	res  Result
}

// Run tests a plugin. Its error says that this could not be done; what is wrong
// with the plugin is in the Result.
func Run(ctx context.Context, cfg Config) (Result, error) {
	cfg.Slow = max(cfg.Slow, 1)
	dir, err := os.MkdirTemp("", "aml-kit-*")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	s, err := shelf.Open(filepath.Join(dir, "p"), nil)
	if err != nil {
		return Result{}, err
	}
	if err := s.Carry(cfg.Program, cfg.Carried); err != nil {
		return Result{}, err
	}
	st, err := stage(ctx, s, cfg)
	if err != nil {
		return Result{}, err
	}
	defer st.Close()
	if _, _, err := st.Manifest.Binary(runtime.GOOS + "/" + runtime.GOARCH); err != nil {
		return Result{}, err
	}
	p, err := st.Install("kit", func(p *plugins.Installed) error {
		p.Granted = slices.DeleteFunc(slices.Clone(st.Manifest.Capabilities), func(c plugins.Capability) bool { return slices.Contains(cfg.Withhold, c) })
		p.Paths, p.Config, p.Enabled = cfg.Paths, cfg.Settings, true
		_, err := st.Manifest.Settings(cfg.Settings)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	journal, err := host.OpenJournal(ctx, filepath.Join(dir, "events.db"))
	if err != nil {
		return Result{}, err
	}
	defer journal.Close()
	sockets, err := short(dir)
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(sockets)
	h, err := host.New(host.Config{
		Shelf: s, Launcher: cfg.Launcher, Sockets: sockets, Version: "kit", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Journal: journal,
		Backoff:      []time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, // one failure is to spoil one check
		Deadline:     func(r plugins.Rule) time.Duration { return r.Deadline * time.Duration(cfg.Slow) },
		StartTimeout: 10 * time.Second * time.Duration(cfg.Slow),
	})
	if err != nil {
		return Result{}, err
	}
	inner, cancel := context.WithCancel(ctx)
	ended := make(chan struct{}, 2)
	go func() { _ = h.Run(inner); ended <- struct{}{} }()       // has no error
	go func() { _ = journal.Run(inner); ended <- struct{}{} }() // what is lost is missed
	r := &run{cfg: cfg, host: h, told: journal, id: p.ID, m: st.Manifest, res: Result{ID: p.ID, Version: p.Version}}
	r.all(ctx)
	cancel()
	<-ended
	<-ended
	if r.res.Failed > 0 {
		r.res.Log = tail(s.LogFile(p.ID))
	}
	return r.res, context.Cause(ctx)
}

// short makes a folder for sockets, below dir if that is short enough.
func short(dir string) (string, error) {
	sockets := filepath.Join(dir, "s")
	if len(sockets) <= host.MaxSockets {
		return sockets, os.Mkdir(sockets, 0o700)
	}
	return os.MkdirTemp("/tmp", "aml-kit-*") // where there is none, there are no such sockets either
}

func stage(ctx context.Context, s *shelf.Shelf, cfg Config) (*shelf.Staged, error) {
	if cfg.Bundled != "" {
		return s.StageBundled(cfg.Bundled)
	}
	return s.Stage(ctx, cfg.Path)
}

// maxTail is how much of a log is shown.
const maxTail = 50

func tail(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[max(0, len(lines)-maxTail):]
}

// all makes every check.
func (r *run) all(ctx context.Context) {
	checks := map[plugins.Hook][]check{
		plugins.FilterManifest: r.filters(), plugins.PlanFetch: r.plans(), plugins.ScanContent: r.scans(), plugins.BeforePublish: r.drafts(),
		plugins.Source: r.sources(), plugins.Mirror: r.mirrors(), plugins.Render: r.renders(), plugins.Sign: r.signs(), plugins.Observe: r.observes(),
	}
	for _, rule := range plugins.Rules() {
		if !r.m.Has(rule.Hook) {
			continue
		}
		if i := slices.IndexFunc(rule.Needs, func(c plugins.Capability) bool { return slices.Contains(r.cfg.Withhold, c) }); i >= 0 {
			r.leave(rule.Hook, fmt.Sprintf("a node does not call it without %s, which is withheld", rule.Needs[i]))
			continue
		}
		for _, c := range checks[rule.Hook] {
			if ctx.Err() != nil {
				return
			}
			r.check(ctx, rule, c)
		}
	}
}

// leave says that something is not looked at.
func (r *run) leave(hook plugins.Hook, why string) { r.res.Left = append(r.res.Left, Left{hook, why}) }

// check is a named call of a hook. An error is what is wrong.
type check struct {
	name string
	do   func(ctx context.Context) error
}

// patience bounds a check as a whole.
const patience = 2 * time.Minute

// check makes one check, and sees that the process is as it was before.
func (r *run) check(ctx context.Context, rule plugins.Rule, c check) {
	began := time.Now()
	before := r.status(rule.Hook)
	inner, cancel := context.WithTimeoutCause(ctx, min(patience*time.Duration(r.cfg.Slow), 2*patience), errors.New("it does not end"))
	err := c.do(inner)
	cancel()
	after := r.settled(ctx, rule.Hook, before)
	switch {
	case after.stats.Timeouts > before.stats.Timeouts:
		err = fmt.Errorf("an answer came after the deadline of %v", rule.Deadline*time.Duration(r.cfg.Slow))
	case after.failures > before.failures:
		err = fmt.Errorf("the node had to end it: %s", cmp.Or(after.reason, errorText(err)))
	}
	out := Check{Hook: rule.Hook, Name: c.name, OK: err == nil, Took: time.Since(began).Round(time.Millisecond).String()}
	if err != nil {
		out.Reason = err.Error()
		r.res.Failed++
	}
	r.res.Checks = append(r.res.Checks, out)
	if r.cfg.Report != nil {
		r.cfg.Report(out)
	}
}

func errorText(err error) string {
	if err == nil {
		return "it ended, or answered with what is no answer"
	}
	return err.Error()
}

// status is what the host holds against the plugin so far.
type status struct {
	failures int
	reason   string
	stats    host.Stats
}

func (r *run) status(hook plugins.Hook) status {
	for _, s := range r.host.Status() {
		if s.ID == r.id {
			return status{s.Failures, s.Reason, s.Hooks[hook]}
		}
	}
	return status{}
}

// settle is how long a node may take to end a process for an answer.
const settle = 500 * time.Millisecond

// settled is status once it is known whether an error had the process ended, so
// that the check which did it has the blame.
func (r *run) settled(ctx context.Context, hook plugins.Hook, before status) status {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	tick := time.NewTicker(settle / 50)
	defer tick.Stop()
	for {
		s := r.status(hook)
		if s.stats.Errors == before.stats.Errors || s.failures > before.failures || ctx.Err() != nil {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// answered fails if a call of a hook that says nothing of it gave no answer.
func (r *run) answered(hook plugins.Hook, do func() error) error {
	before := r.status(hook).stats.Errors
	if err := do(); err != nil {
		return err
	}
	if r.status(hook).stats.Errors > before {
		return errors.New("it gave no answer; plugin's log says why")
	}
	return nil
}

// settled repeats for a while what failed with err: what was cancelled and has not ended
// yet may be in its way, as a node, which polls again later, would find.
func settled(ctx context.Context, err error, do func(context.Context) error) error {
	for range 300 {
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
		err = do(ctx)
	}
	return err
}

// cancelled makes a call that nobody waits for any more, and one after it.
func cancelled(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, after := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
			gone, cancel := context.WithCancel(ctx)
			timer := time.AfterFunc(after, cancel)
			_ = do(gone) // whatever it says
			timer.Stop()
			cancel()
		}
		return do(ctx)
	}
}
