//go:build unix

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// hostileInHooks are plugins that fail in whichever hook but FilterManifest they are
// asked, and the good ones that run beside.
func hostileInHooks() map[string]kind {
	failing := func(fail func()) kind {
		return kind{hooks: failingHooks, caps: []plugins.Capability{plugins.Plaintext, plugins.Publish}, run: serve(func(p *sdk.Plugin) { failIn(p, fail) })}
	}
	beside := func(hook plugins.Hook, set func(*sdk.Plugin)) kind {
		return kind{hooks: []plugins.Hook{hook}, run: func() {
			p := sdk.Plugin{ID: witnessID, Version: "1.0.0"}
			set(&p)
			sdk.Serve(p)
		}}
	}
	return map[string]kind{
		"exits in its hooks":  failing(func() { os.Exit(3) }),
		"panics in its hooks": failing(func() { panic("oh") }),
		"hangs in its hooks":  failing(func() { select {} }),
		"1 GiB in a stream": {
			hooks: []plugins.Hook{plugins.Source, plugins.Mirror, plugins.Render}, caps: []plugins.Capability{plugins.Publish},
			run: serve(func(p *sdk.Plugin) {
				p.Source, p.Mirror = gib{}, gib{}
				p.Render = func(_ context.Context, _ *sdk.RenderStart, _ iter.Seq2[*sdk.Release, error], w io.Writer) (string, error) {
					_, err := io.CopyN(w, zeros{}, maxDocument*3/2) // the SDK keeps it until its media type is known
					return "text/plain", err
				}
			}),
		},
		"a witness that plans": beside(plugins.PlanFetch, func(p *sdk.Plugin) {
			p.PlanFetch = func(context.Context, *sdk.Plan) ([]*sdk.PlanChange, error) {
				return []*sdk.PlanChange{{Name: "a.txt", Skip: true}}, nil
			}
		}),
		"a witness that filters": beside(plugins.FilterManifest, func(p *sdk.Plugin) {
			p.FilterManifest = func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Quarantine("seen"), nil }
		}),
	}
}

const witnessID = "witness"

// witness installs a good plugin beside the tested one. What it returns fails unless
// that answers, and has never failed.
func witness(t *testing.T, x *tested, name string) (answers func()) {
	t.Helper()
	k, from := kinds()[name], t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("format: 1\nid: %s\nversion: 1.0.0\nhooks: [%s]\nbinaries: {any: plugin}\nargs: [be, %q]\nmemory: 1GiB\n", witnessID, join(k.hooks), name)
	if err := os.WriteFile(filepath.Join(from, plugins.ManifestFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, filepath.Join(from, "plugin")); err != nil {
		data, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(filepath.Join(from, "plugin"), data, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := x.shelf.Stage(context.Background(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Install(from, func(p *plugins.Installed) error { p.Enabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		r, good := release("news", channel.Media), false
		if k.hooks[0] == plugins.PlanFetch {
			plan, err := x.Plan(context.Background(), "sub", r, []Planned{{"a.txt", "a.txt"}}, nil)
			good = err == nil && plan["a.txt"].Plugin == witnessID
		} else {
			v, err := x.Filter(context.Background(), r)
			good = err == nil && v[0].Reason == "seen"
		}
		for _, s := range x.Status() {
			if s.ID == witnessID && (!good || s.Starts != 1 || s.Failures != 0) {
				t.Fatalf("the good plugin beside it: answered %v, %+v", good, s)
			}
		}
	}
}

// lateIn shortens the deadline of a hook, and of no other: the good plugin is not to
// fail since the machine is busy.
func lateIn(hook plugins.Hook) func(plugins.Rule) time.Duration {
	return func(r plugins.Rule) time.Duration {
		if r.Hook == hook {
			return 300 * time.Millisecond
		}
		return 2 * time.Minute
	}
}

var failingHooks = []plugins.Hook{plugins.PlanFetch, plugins.ScanContent, plugins.BeforePublish, plugins.Source, plugins.Mirror, plugins.Render, plugins.Sign}

// failIn sets all of failingHooks.
func failIn(p *sdk.Plugin, fail func()) {
	p.PlanFetch = func(context.Context, *sdk.Plan) ([]*sdk.PlanChange, error) { fail(); return nil, nil }
	p.ScanContent = func(context.Context, *sdk.ScanStart, io.Reader) (*sdk.Verdict, error) { fail(); return nil, nil }
	p.BeforePublish = func(context.Context, string, *sdk.Draft) error { fail(); return nil }
	p.Render = func(context.Context, *sdk.RenderStart, iter.Seq2[*sdk.Release, error], io.Writer) (string, error) {
		fail()
		return "", nil
	}
	f := failer{fail}
	p.Source, p.Mirror, p.Signer = f, f, f
}

// failer fails in whatever it is asked.
type failer struct{ fail func() }

func (f failer) Poll(context.Context, string, []byte, func(*sdk.Item, []byte) error) error {
	f.fail()
	return nil
}
func (f failer) Open(context.Context, string, int64) (io.ReadCloser, error) {
	f.fail()
	return nil, nil
}
func (f failer) Put(context.Context, [32]byte, int64, io.Reader) error { f.fail(); return nil }
func (f failer) Has(context.Context, [32]byte) (bool, error)           { f.fail(); return false, nil }
func (f failer) Get(context.Context, [32]byte) (io.ReadCloser, error)  { f.fail(); return nil, nil }
func (f failer) Delete(context.Context, [32]byte) error                { f.fail(); return nil }
func (f failer) PublicKeys(context.Context) ([][]byte, error)          { f.fail(); return nil, nil }
func (f failer) Sign(context.Context, []byte, []byte) ([]byte, error)  { f.fail(); return nil, nil }

// What a process does to itself in any hook has the consequence of that hook's rule, and
// the plugin beside answers on.
func TestAProcessThatFailsInAnyHookHarmsNothingButItself(t *testing.T) {
	ctx, id := context.Background(), blobnet.Sum([]byte("x"))
	failed := func(err error) bool { return errors.Is(err, plugins.ErrFailed) || errors.Is(err, plugins.ErrOff) }
	calls := []struct {
		name  string
		hook  plugins.Hook
		right func(x *tested) bool // the rule of a hook that gave no answer was kept
	}{
		{"PlanFetch", plugins.PlanFetch, func(x *tested) bool {
			plan, err := x.Plan(ctx, "sub", release("news", channel.Media), []Planned{{"a.txt", "a.txt"}}, nil)
			return err == nil && len(plan) == 0
		}},
		{"ScanContent", plugins.ScanContent, func(x *tested) bool {
			v, err := x.Scan(ctx, Content{Entry: channel.FileEntry{Name: "f", Size: 5}, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }})
			return err == nil && v.Decision == plugins.Quarantine && v.Failed
		}},
		{"BeforePublish", plugins.BeforePublish, func(x *tested) bool {
			_, err := x.BeforePublish(ctx, channel.ID{}, Draft{Title: "v1"})
			return failed(err)
		}},
		{"Source, Poll", plugins.Source, func(x *tested) bool { return failed(x.Poll(ctx, "tested", "here", nil, nil)) }},
		{"Source, Open", plugins.Source, func(x *tested) bool { return failed(x.Open(ctx, "tested", "h", 0, 1<<20, io.Discard)) }},
		{"Mirror, Put", plugins.Mirror, func(x *tested) bool { return failed(x.Put(ctx, "tested", id, []byte("x"))) }},
		{"Mirror, Has", plugins.Mirror, func(x *tested) bool {
			_, err := x.HasBlobs(ctx, "tested", []blobnet.ID{id})
			return failed(err)
		}},
		{"Mirror, Get", plugins.Mirror, func(x *tested) bool {
			_, err := x.Host.Get(ctx, "tested", id)
			return failed(err)
		}},
		{"Render", plugins.Render, func(x *tested) bool {
			_, _, err := x.Render(ctx, "tested", View{Format: "text", Releases: func(func(Release, error) bool) {}})
			return failed(err)
		}},
		{"Sign", plugins.Sign, func(x *tested) bool {
			_, err := x.Sign(ctx, "tested", channel.PublicKey{1}, []byte("DSSEv1"))
			return failed(err)
		}},
	}
	for _, how := range []string{"exits", "panics", "hangs"} {
		for _, call := range calls {
			if how == "panics" && call.hook != plugins.PlanFetch && call.hook != plugins.Source {
				continue // to the host the same as an exit
			}
			t.Run(how+" in "+call.name, func(t *testing.T) {
				t.Parallel()
				x := run(t, options{kind: how + " in its hooks", host: func(c *Config) {
					c.Backoff = []time.Duration{}
					c.Deadline = func(plugins.Rule) time.Duration { return 2 * time.Minute }
					if how == "hangs" {
						c.Deadline = lateIn(call.hook)
					}
				}})
				beside, pids := witness(t, x, "a witness that filters"), map[int]bool{}
				beside()
				eventually(t, "it is off", func() bool {
					if !call.right(x) {
						t.Fatal("it gave no answer, and what the hook's rule says of that did not happen")
					}
					beside()
					s := x.Status()[0]
					pids[s.PID] = true
					return s.State == Off
				})
				if s := x.Status()[0]; s.Starts != 1 || s.Failures != 1 {
					t.Errorf("it was started %d times and failed %d times, want 1: %s", s.Starts, s.Failures, s.Reason)
				}
				beside()
				x.stop()
				nothingLeft(t, x, pids)
			})
		}
	}
}

const gibSize = 1 << 30

// gibReader is 1 GiB of zeros.
func gibReader() io.ReadCloser { return io.NopCloser(io.LimitReader(zeros{}, gibSize)) }

// gib gives 1 GiB for whatever it is asked.
type gib struct{ failer }

func (gib) Open(context.Context, string, int64) (io.ReadCloser, error) { return gibReader(), nil }
func (gib) Get(context.Context, [32]byte) (io.ReadCloser, error)       { return gibReader(), nil }

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// A reply of 1 GiB (of a document 96 MiB) is cut off at the hook's limit, and never in
// memory as a whole. What the host allocates in sum says so; nothing else runs meanwhile.
func TestAReplyOf1GiBIsCutOffAndNotKept(t *testing.T) {
	ctx := context.Background()
	for name, test := range map[string]struct {
		limit uint64 // of what is kept
		call  func(x *tested) (int64, error)
	}{
		"Source": {1 << 20, func(x *tested) (int64, error) {
			var n counter
			err := x.Open(ctx, "tested", "h", 0, 8<<20, &n)
			return int64(n) - 7<<20, err // written on, not kept
		}},
		"Mirror": {blobnet.MaxBlobSize, func(x *tested) (int64, error) {
			got, err := x.Host.Get(ctx, "tested", blobnet.Sum(nil))
			return int64(len(got)), err
		}},
		"Render": {maxDocument, func(x *tested) (int64, error) {
			_, got, err := x.Render(ctx, "tested", View{Format: "text", Releases: func(func(Release, error) bool) {}})
			return int64(len(got)), err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x := run(t, options{kind: "1 GiB in a stream", host: func(c *Config) {
				c.Deadline = func(plugins.Rule) time.Duration { return 2 * time.Minute }
			}})
			beside := witness(t, x, "a witness that filters")
			beside()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := test.call(x)
			runtime.ReadMemStats(&after)
			if err == nil || got > int64(test.limit) {
				t.Errorf("%d bytes of it were taken, %v", got, err)
			}
			// A buffer that doubles takes 4 times what it holds, and messages come and go.
			if sum := after.TotalAlloc - before.TotalAlloc; sum > 5*test.limit+gibSize/8 {
				t.Errorf("the host allocated %d MiB", sum>>20)
			} else {
				t.Logf("the host allocated %d MiB: %v", sum>>20, err)
			}
			beside()
			x.stop()
			nothingLeft(t, x, nil)
		})
	}
}
