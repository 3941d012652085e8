//go:build unix

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

func release(title string, kind channel.Kind) Release {
	return Release{Channel: channel.ID{1}, Kind: kind, Seq: 1, Issued: 1, Body: &channel.Body{
		Title: title, Entries: []channel.FileEntry{{Name: "a.txt", Size: 1}, {Name: "b.txt", Size: 2}},
	}}
}

// TestAHostilePluginHarmsNothingButItself starts each hostile plugin, asks it
// until it is off, and looks for what it has left. A good plugin beside it answers
// all the time.
func TestAHostilePluginHarmsNothingButItself(t *testing.T) {
	quick := func(c *Config) { c.StartTimeout = 500 * time.Millisecond }
	late := func(c *Config) { c.Deadline = lateIn(plugins.FilterManifest) }
	goroutines := runtime.NumGoroutine()
	t.Run("each", func(t *testing.T) { eachHostile(t, quick, late) })
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func eachHostile(t *testing.T, quick, late func(*Config)) {
	for _, test := range []struct {
		kind string
		host func(*Config)
		off  bool   // it is turned off
		says string // in why
	}{
		{"exits at start", nil, true, "ended before it was ready: exit status 7; it said: no module named x"},
		{"exits well at start", nil, true, "ended before it was ready: exit status 0"},
		{"panics at start", nil, true, "exit status 2; it said: panic: oh no"},
		{"says nothing", quick, true, "not ready"},
		{"closes stdout at start", quick, true, ""},
		{"a word on stdout", nil, true, `it began with "hello"`},
		{"garbage on stdout", nil, true, ""},
		{"endless stdout", nil, true, ""},
		{"endless stderr", nil, false, ""},
		{"wrong core protocol", nil, true, ""},
		{"wrong protocol", nil, true, ""},
		{"netrpc", nil, true, ""},
		{"another's socket", nil, true, "wants to be called"},
		{"a TCP address", nil, true, "wants to be called"},
		{"no TLS behind", quick, true, ""},
		{"garbage behind", quick, true, ""},
		{"silence behind", quick, true, "not ready"},
		{"exits in mid-call", nil, true, "ended by itself"},
		{"panics in mid-call", nil, true, "ended by itself"},
		{"hangs in mid-call", late, true, "in time"},
		{"spins in mid-call", late, true, "in time"},
		{"a huge reply", nil, true, ""},
		{"another decision", nil, true, "nothing"},
		{"no decision", nil, true, "nothing"},
		{"an escape sequence", nil, true, "control"},
		{"a long reason", nil, true, "bytes"},
		{"huge headers", nil, true, ""},
		{"eats memory", nil, true, "ended by itself"},
		{"another id", nil, true, "other"},
		{"another version", nil, true, "2.0.0"},
		{"other hooks", nil, true, "hooks"},
		{"refuses its config", nil, true, "no list"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			if test.kind == "eats memory" && !confine.Can().Limits {
				t.Skip("this system has no limits")
			}
			t.Parallel()
			x := run(t, options{kind: test.kind, host: func(c *Config) {
				c.Backoff = []time.Duration{} // the first failure is enough here
			}})
			beside := witness(t, x, "a witness that plans")
			beside()
			if test.host != nil {
				test.host(&x.cfg) // the hostile one has not begun, and the other needs it no more
			}
			pids := map[int]bool{}
			// The node asks on, as releases come; media pass, updates wait.
			eventually(t, "it is off, or works", func() bool {
				v, err := x.Filter(context.Background(), release("news", channel.Media), release("2.0", channel.Update))
				if err != nil {
					t.Fatal(err)
				}
				s := x.Status()[0]
				pids[s.PID] = true
				if test.off && (v[0].Decision != plugins.Allow || v[1].Decision == plugins.Allow) {
					t.Fatalf("without an answer: %+v", v)
				}
				beside()
				return (s.State == Off) == test.off && (test.off || s.Hooks[plugins.FilterManifest].Calls >= 20)
			})
			s := x.Status()[0]
			if test.off && (s.Starts != 1 || s.Failures != 1) {
				t.Errorf("it was started %d times and failed %d times, want 1", s.Starts, s.Failures)
			}
			if !strings.Contains(s.Reason, test.says) || strings.ContainsAny(s.Reason, "\x1b\n") || len(s.Reason) > 1000 {
				t.Errorf("the reason is %q, want one with %q", s.Reason, test.says)
			}
			p, err := x.shelf.Get("tested")
			if err != nil || (p.Off != nil) != test.off {
				t.Errorf("the lock says off %+v, %v", p.Off, err)
			}
			// A log has what it said, and no more than fits.
			for _, log := range []string{x.shelf.LogFile("tested"), x.shelf.LogFile("tested") + ".1"} {
				if info, err := os.Stat(log); err == nil && info.Size() > 2<<20 {
					t.Errorf("%s has %d bytes", log, info.Size())
				}
			}
			beside()
			x.stop()
			nothingLeft(t, x, pids)
		})
	}
}

// nothingLeft looks for processes, sockets and copies.
func nothingLeft(t *testing.T, x *tested, pids map[int]bool) {
	t.Helper()
	for _, dir := range []string{x.sockets, filepath.Join(x.dir, "plugins", ".run"), filepath.Join(x.dir, "plugins", ".tmp")} {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left: %v", dir, left)
		}
	}
	for pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); pid != 0 && err == nil {
			t.Errorf("process %d is left", pid)
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range procs { // also its children
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), x.dir) {
			t.Errorf("%s is left: %q", file, line)
		}
	}
}

func TestAForkBombGoesNoFurtherThanTheFirstFork(t *testing.T) {
	if !confine.Can().Processes {
		t.Skip("this system cannot forbid processes")
	}
	x := run(t, options{kind: "a fork bomb"})
	v, err := x.Filter(context.Background(), release("news", channel.Media))
	if err != nil || v[0].Decision != plugins.Quarantine || v[0].Reason != "it cannot fork" {
		t.Errorf("got %+v, %v", v, err)
	}
	x.stop()
	nothingLeft(t, x, nil)
}

func TestAPluginHasNothingThatWasNotGranted(t *testing.T) {
	if can := confine.Can(); !can.Files || !can.Network {
		t.Skip("this system cannot enforce it")
	}
	x := run(t, options{kind: "opens what it may not"})
	v, err := x.Filter(context.Background(), release("news", channel.Media))
	if err != nil || v[0].Reason != "could: " {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestAHookIsNotCalledWithoutWhatItNeeds(t *testing.T) {
	x := run(t, options{kind: "acting", granted: []plugins.Capability{plugins.Plaintext}})
	for hook, want := range map[plugins.Hook]bool{plugins.ScanContent: true, plugins.PlanFetch: true, plugins.BeforePublish: false, plugins.Sign: false, plugins.Source: false} {
		if x.Has(hook) != want {
			t.Errorf("%s is called: want %v", hook, want)
		}
	}
	if _, err := x.Sign(context.Background(), "tested", channel.PublicKey{}, nil); !errors.Is(err, plugins.ErrUnknown) {
		t.Errorf("signing without the right to publish: %v", err)
	}
}

func TestAPluginThatWasChangedAfterItsInstallationIsNotStarted(t *testing.T) {
	x := run(t, options{kind: "good"})
	p, err := x.shelf.Get("tested")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(x.shelf.Folder(p.Installed), "plugin")
	f, err := os.OpenFile(binary, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "evil")
	f.Close()
	v, err := x.Filter(context.Background(), release("2.0", channel.Update))
	if err != nil || v[0].Decision != plugins.Quarantine {
		t.Errorf("got %+v, %v", v, err)
	}
	eventually(t, "it is off", func() bool { return x.Status()[0].State == Off })
	if s := x.Status()[0]; s.Starts != 0 && s.PID != 0 || !strings.Contains(s.Reason, "changed") {
		t.Errorf("got %+v", s)
	}
	// Installed again it works again.
	x.install(t, options{kind: "good"})
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	if v, err = x.Filter(context.Background(), release("2.0", channel.Update)); err != nil || v[0].Decision != plugins.Allow {
		t.Errorf("after a new installation: %+v, %v", v, err)
	}
}

func TestAPluginThatFailsIsStartedAgainAndOffTheThirdTime(t *testing.T) {
	x := run(t, options{kind: "exits in mid-call"})
	for n := 1; n <= 3; n++ {
		eventually(t, "it fails", func() bool {
			_, _ = x.Filter(context.Background(), release("news", channel.Media))
			s := x.Status()[0]
			return s.Failures >= n && s.State != Ready
		})
		if s := x.Status()[0]; s.State == Off && s.Failures < 3 || s.Starts < n {
			t.Errorf("after failure %d: %+v", n, s)
		}
	}
	eventually(t, "it is off", func() bool { return x.Status()[0].State == Off })
	if s := x.Status()[0]; s.Starts != 3 || s.Failures != 3 {
		t.Errorf("got %+v", s)
	}
	// The operator's word turns it on again.
	if err := x.shelf.Change("tested", func(p *plugins.Installed, _ plugins.Manifest) error { p.Off = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	if s := x.Status()[0]; s.State == Off || s.Failures != 0 {
		t.Errorf("turned on again: %+v", s)
	}
}
