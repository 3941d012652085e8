//go:build unix

package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// TestMain is the launcher and every plugin of these tests too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == confine.Verb {
		fmt.Fprintln(os.Stderr, confine.Main())
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == "be" {
		sdk.Serve(kinds()[os.Args[2]].plugin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kind is a plugin that the test binary can be.
type kind struct {
	hooks  []plugins.Hook
	plugin sdk.Plugin
	want   string // in what the kit holds against it; empty: nothing
}

func kinds() map[string]kind {
	all := map[string]kind{
		"good": {hooks: []plugins.Hook{plugins.FilterManifest, plugins.BeforePublish, plugins.Render}, plugin: sdk.Plugin{
			FilterManifest: func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Allow(), nil },
			BeforePublish:  func(context.Context, string, *sdk.Draft) error { return sdk.Denied("no") },
			Render: func(_ context.Context, _ *sdk.RenderStart, all iter.Seq2[*sdk.Release, error], w io.Writer) (string, error) {
				for range all { // it looks at all of them
				}
				_, err := io.WriteString(w, "text")
				return "text/plain", err
			},
		}},
		"hangs": {hooks: []plugins.Hook{plugins.FilterManifest}, want: "after the deadline", plugin: sdk.Plugin{
			FilterManifest: func(context.Context, *sdk.Release) (*sdk.Verdict, error) { select {} },
		}},
		"panics at oddities": {hooks: []plugins.Hook{plugins.FilterManifest}, want: "had to end it", plugin: sdk.Plugin{
			FilterManifest: func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) {
				_ = r.Entries[0] // not every release has files
				return sdk.Allow(), nil
			},
		}},
		"says what is no verdict": {hooks: []plugins.Hook{plugins.FilterManifest}, want: "had to end it", plugin: sdk.Plugin{
			FilterManifest: func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Deny("a\nb"), nil },
		}},
		"signs with nothing": {hooks: []plugins.Hook{plugins.Sign}, plugin: sdk.Plugin{Signer: keyless{}}},
		"forgets itself":     {hooks: []plugins.Hook{plugins.Source}, want: "it was cancelled once", plugin: sdk.Plugin{Source: &forgetting{}}},
		"repeats an id":      {hooks: []plugins.Hook{plugins.Source}, want: "two items are called", plugin: sdk.Plugin{Source: repeating{}}},
		"keeps anything":     {hooks: []plugins.Hook{plugins.Mirror}, want: "had to end it", plugin: sdk.Plugin{Mirror: keeping{}}},
		"writes nothing": {hooks: []plugins.Hook{plugins.Render}, want: "empty document", plugin: sdk.Plugin{
			Render: func(context.Context, *sdk.RenderStart, iter.Seq2[*sdk.Release, error], io.Writer) (string, error) {
				return "text/plain", nil
			},
		}},
	}
	for name, k := range all {
		k.plugin.ID, k.plugin.Version = "tested", "1.0.0"
		all[name] = k
	}
	return all
}

// keyless holds no key.
type keyless struct{}

func (keyless) PublicKeys(context.Context) ([][]byte, error) { return nil, nil }
func (keyless) Sign(context.Context, []byte, []byte) ([]byte, error) {
	return nil, fs.ErrNotExist
}

type repeating struct{}

func (repeating) Poll(_ context.Context, _ string, _ []byte, yield func(*sdk.Item, []byte) error) error {
	item := &sdk.Item{Id: "one", Files: []*sdk.ItemFile{{Name: "a", Handle: "a"}}}
	return errors.Join(yield(item, nil), yield(item, nil))
}

func (repeating) Open(_ context.Context, handle string, offset int64) (io.ReadCloser, error) {
	if handle != "a" || offset > 4 {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader("text"[offset:])), nil
}

// forgetting polls well twice. Then it waits until the one who asked has gone, and
// after that it polls no more.
type forgetting struct {
	repeating
	polls atomic.Int32
	gone  sync.Map // contexts of calls that wait
}

func (f *forgetting) Poll(ctx context.Context, _ string, _ []byte, yield func(*sdk.Item, []byte) error) error {
	var before error
	f.gone.Range(func(c, _ any) bool {
		<-c.(context.Context).Done()
		before = errors.New("it was cancelled once")
		return false
	})
	wait := f.polls.Add(1) > 2 && before == nil
	if wait {
		f.gone.Store(ctx, nil)
	}
	if err := errors.Join(before, yield(&sdk.Item{Id: "one", Files: []*sdk.ItemFile{{Name: "a", Handle: "a"}}}, nil)); err != nil || !wait {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute): // nobody has cancelled it
		f.gone.Delete(ctx)
	}
	return nil
}

// keeping has a file of that name for everything.
type keeping struct{}

func (keeping) Put(_ context.Context, id [32]byte, _ int64, r io.Reader) error {
	data, err := io.ReadAll(r)
	return errors.Join(err, os.WriteFile(fmt.Sprintf("%x", id), data, 0o600))
}

func (keeping) Has(_ context.Context, id [32]byte) (bool, error) {
	_, err := os.Stat(fmt.Sprintf("%x", id))
	return err == nil, nil
}

func (keeping) Get(_ context.Context, id [32]byte) (io.ReadCloser, error) {
	return os.Open(fmt.Sprintf("%x", id))
}

func (keeping) Delete(_ context.Context, id [32]byte) error { return os.Remove(fmt.Sprintf("%x", id)) }

// folder is the test binary as a plugin.
func folder(t *testing.T, name string, k kind) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var hooks []string
	for _, h := range k.hooks {
		hooks = append(hooks, string(h))
	}
	// Memory is enough for a test binary with the race detector in it.
	text := fmt.Sprintf("format: 1\nid: tested\nversion: 1.0.0\nhooks: [%s]\ncapabilities: [publish]\nmemory: 4GiB\nbinaries: {any: plugin}\nargs: [be, %q]\n", strings.Join(hooks, ", "), name)
	err = os.WriteFile(filepath.Join(dir, plugins.ManifestFile), []byte(text), 0o600)
	if err == nil && os.Link(self, filepath.Join(dir, "plugin")) != nil {
		var data []byte
		if data, err = os.ReadFile(self); err == nil {
			err = os.WriteFile(filepath.Join(dir, "plugin"), data, 0o700)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheKitFindsWhatANodeWouldHoldAgainstAPlugin(t *testing.T) {
	self, err := confine.Self()
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := 100 // the machine may be busy
			if name == "hangs" {
				slow = 1
			}
			res, err := Run(context.Background(), Config{Path: folder(t, name, k), Launcher: []string{self, confine.Verb}, From: "here", Slow: slow})
			if err != nil {
				t.Fatal(err)
			}
			reasons := ""
			for _, c := range res.Checks {
				if !c.OK {
					reasons += fmt.Sprintf("%s, %s: %s\n", c.Hook, c.Name, c.Reason)
				}
			}
			if len(res.Checks) == 0 || (res.Failed == 0) != (k.want == "") || !strings.Contains(reasons, k.want) {
				t.Errorf("of %d checks failed %d:\n%swant %q\n%s", len(res.Checks), res.Failed, reasons, k.want, strings.Join(res.Log, "\n"))
			}
			if k.want == "" {
				for _, h := range k.hooks {
					if !strings.Contains(fmt.Sprint(res.Checks), string(h)) {
						t.Errorf("hook %s is not looked at", h)
					}
				}
			}
		})
	}
}

func TestTheKitSaysWhatItLeftOut(t *testing.T) {
	self, err := confine.Self()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		kind     string
		from     string
		withhold []plugins.Capability
		want     string
	}{
		{"repeats an id", "", nil, "Source nothing is polled"},
		{"signs with nothing", "", nil, "Sign it has no key"},
		{"good", "", []plugins.Capability{plugins.Publish}, "BeforePublish a node does not call it without publish"},
		{"good", "", nil, ""},
	} {
		t.Run(test.kind+", "+test.want, func(t *testing.T) {
			t.Parallel()
			res, err := Run(context.Background(), Config{Path: folder(t, test.kind, kinds()[test.kind]), Launcher: []string{self, confine.Verb}, From: test.from, Withhold: test.withhold, Slow: 100})
			if err != nil || res.Failed > 0 {
				t.Fatalf("%+v, %v", res, err)
			}
			said := ""
			for _, l := range res.Left {
				said += string(l.Hook) + " " + l.Why + "\n"
			}
			if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
				t.Errorf("it left out %q, want %q", said, test.want)
			}
		})
	}
}

func TestWhatIsNoPluginIsNoResult(t *testing.T) {
	for _, cfg := range []Config{{Path: t.TempDir()}, {Path: filepath.Join(t.TempDir(), "missing")}, {Bundled: "unknown"}} {
		if _, err := Run(context.Background(), cfg); err == nil {
			t.Errorf("%+v was tested", cfg)
		}
	}
}
