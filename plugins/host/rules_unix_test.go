//go:build unix

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// often lets a plugin fail as often as a test wants.
func often(c *Config) { c.Backoff = make([]time.Duration, 100) }

func TestAPollIsBounded(t *testing.T) {
	t.Parallel()
	x, ctx := run(t, options{kind: "acting", host: often}), t.Context()
	all := func(*pluginv1.SourceItem, []byte) error { return nil }
	for i, test := range []struct{ from, says string }{
		{"empty for ever", "neither an item nor another cursor"},
		{"no id", "without id"},
		{"a long id", "id of 65537 bytes"},
		{"a long cursor", "cursor of 4097 bytes"},
		{"many files", "4097 files"},
	} {
		if err := x.Poll(ctx, "tested", test.from, nil, all); !errors.Is(err, plugins.ErrFailed) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.from, err)
		} else if strings.Count(err.Error(), plugins.ErrFailed.Error()) != 1 {
			t.Errorf("%s: said twice: %v", test.from, err)
		}
		eventually(t, test.from+" is a failure", func() bool { return x.Status()[0].Failures == i+1 })
	}
	failures := x.Status()[0].Failures
	n := 0
	if err := x.Poll(ctx, "tested", "still at it", nil, func(item *pluginv1.SourceItem, _ []byte) error { n++; return nil }); err != nil || n != 2*maxEmpty/3+3 {
		t.Errorf("some that are empty: %d, %v", n, err)
	}
	// What has come by the end of ctx is not gone on with.
	gone, cancel := context.WithCancelCause(ctx)
	why := errors.New("the node ends")
	n = 0
	err := x.Poll(gone, "tested", "cursors for ever", nil, func(*pluginv1.SourceItem, []byte) error {
		if n++; n == 10 {
			cancel(why)
		}
		return nil
	})
	if !errors.Is(err, why) || n != 10 {
		t.Errorf("after the end: %d messages, %v", n, err)
	}
	// An error of the plugin's own, whatever it is called, is none of the process.
	if err := x.Poll(ctx, "tested", "quota", nil, all); !errors.Is(err, plugins.ErrFailed) || !strings.Contains(err.Error(), "my quota") {
		t.Errorf("its own error: %v", err)
	}
	if s := x.Status()[0]; s.Failures != failures {
		t.Errorf("got %+v", s)
	}
}

func TestAStreamOnWhichNothingMovesIsEnded(t *testing.T) {
	t.Parallel()
	x := run(t, options{kind: "acting", host: func(c *Config) {
		often(c)
		c.Deadline = func(plugins.Rule) time.Duration { return 300 * time.Millisecond }
	}})
	for what, ask := range map[string]func() error{
		"a poll": func() error {
			return x.Poll(t.Context(), "tested", "stuck", nil, func(*pluginv1.SourceItem, []byte) error { return nil })
		},
		"a file": func() error { return x.Open(t.Context(), "tested", "stuck", 0, 1000, io.Discard) },
	} {
		if err := ask(); !errors.Is(err, errLate) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAFewBytesAreNoProgress(t *testing.T) {
	read := func(ctx context.Context, size, times int) (touched int, err error) {
		err = drain(ctx, io.Discard, 1<<30, func() { touched++ }, func() ([]byte, error) {
			if times--; times < 0 {
				return nil, io.EOF
			}
			return make([]byte, size), nil
		})
		return touched, err
	}
	for _, test := range []struct{ size, times, want int }{{0, 1000, 0}, {1, 1000, 0}, {progress, 3, 3}, {progress / 2, 4, 2}, {1 << 20, 2, 2}} {
		if got, err := read(t.Context(), test.size, test.times); err != nil || got != test.want {
			t.Errorf("%d times %d bytes: touched %d times, want %d, %v", test.times, test.size, got, test.want, err)
		}
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errLate)
	if _, err := read(gone, 0, 1000); !errors.Is(err, errLate) {
		t.Errorf("after the end: %v", err)
	}
}

// fullDisk has no room.
type fullDisk struct{}

var errNoRoom = errors.New("no room")

func (fullDisk) Write([]byte) (int, error) { return 0, errNoRoom }

func TestWhatTheHostDoesNotTakeIsNoFailureOfThePlugin(t *testing.T) {
	t.Parallel()
	x, ctx := run(t, options{kind: "acting"}), t.Context()
	for range 4 {
		if err := x.Open(ctx, "tested", "ab", 0, 1000, io.Discard); !errors.Is(err, ErrTooLarge) || errors.Is(err, plugins.ErrFailed) || !strings.Contains(err.Error(), "1000 bytes") {
			t.Errorf("a file that is too large: %v", err)
		}
		if err := x.Open(ctx, "tested", "ab", 0, 1<<20, fullDisk{}); !errors.Is(err, errNoRoom) || errors.Is(err, plugins.ErrFailed) {
			t.Errorf("a full disk: %v", err)
		}
	}
	var got bytes.Buffer
	if err := x.Open(ctx, "tested", "ab", 399_990, 10, &got); err != nil || got.Len() != 10 {
		t.Errorf("as many bytes as it may have: %d, %v", got.Len(), err)
	}
	if s := x.Status()[0]; s.Starts != 1 || s.Failures != 0 || s.State != Ready {
		t.Errorf("got %+v", s)
	}
}

func TestAnErrorOfAFunctionIsNoFailureOfTheProcess(t *testing.T) {
	t.Parallel()
	x, ctx := run(t, options{kind: "acting"}), t.Context()
	eventually(t, "it observes", func() bool { return x.Status()[0].State == Ready && fileExists(x.shelf.CursorFile("tested")) })
	for range 4 {
		_, err := x.BeforePublish(ctx, channel.ID{}, Draft{Title: "quota", Entries: []channel.FileEntry{{Name: "a.txt"}}})
		if !errors.Is(err, plugins.ErrFailed) || !strings.Contains(err.Error(), "my quota") {
			t.Errorf("got %v", err)
		}
	}
	for _, name := range []string{"one", "later", "two"} {
		x.Observed(name, map[string]string{"is": name})
	}
	state, err := x.shelf.State("tested")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event comes again, and the next", func() bool {
		text, _ := os.ReadFile(filepath.Join(state, "events"))
		return strings.Contains(string(text), "later {") && strings.Contains(string(text), "two {")
	})
	if s := x.Status()[0]; s.Starts != 1 || s.Failures != 0 || s.Hooks[plugins.Observe].Errors != 1 || s.Hooks[plugins.BeforePublish].Errors != 4 {
		t.Errorf("got %+v", s)
	}
}

// A plugin that no SDK has made may give any status.
func TestAStatusOfAFunctionIsToldFromOneOfTheTransport(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{status.Error(codes.Internal, "cannot reach the token"), false},
		{status.Error(codes.ResourceExhausted, "quota exceeded"), false},
		{status.Error(codes.DataLoss, "unrecoverable"), false},
		{status.Error(codes.Unknown, "grpc: whatever"), false},
		{status.Error(codes.Unavailable, "it is gone"), false},
		{status.Error(codes.Unimplemented, "unknown service aml.plugin.v1.Filter"), true},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"), true},
		{status.Error(codes.Internal, "grpc: failed to unmarshal the received message: proto: cannot parse"), true},
		{status.Error(codes.Internal, "stream terminated by RST_STREAM with error code: PROTOCOL_ERROR"), true},
		{status.Error(codes.Internal, "peer header list size exceeded limit"), true},
	} {
		if got := transportFault(test.err); (got != nil) != test.want || got != nil && !errors.Is(got, plugins.ErrFailed) {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}

func TestWithoutAnAnswerAFileIsQuarantined(t *testing.T) {
	t.Parallel()
	x := run(t, options{kind: "acting", host: often})
	for _, text := range []string{"error", "exit!"} {
		v, err := x.Scan(t.Context(), Content{Entry: channel.FileEntry{Name: "f", Size: 5}, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), nil
		}})
		if err != nil || v.Decision != plugins.Quarantine || !v.Failed || v.Plugin != "tested" {
			t.Errorf("%s: %+v, %v", text, v, err)
		}
	}
}

func TestWhatCannotBeScannedNeedNotBeFetched(t *testing.T) {
	t.Parallel()
	x := run(t, options{kind: "a scanner that ends", host: func(c *Config) { c.Backoff = []time.Duration{} }})
	if v, err := x.Unscanned(t.Context()); err != nil || v.Decision != plugins.Allow {
		t.Errorf("before it was asked: %+v, %v", v, err)
	}
	v, err := x.Scan(t.Context(), Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }})
	if err != nil || v.Decision != plugins.Quarantine {
		t.Errorf("it ends at start: %+v, %v", v, err)
	}
	eventually(t, "it is off", func() bool { return x.Status()[0].State == Off })
	if v, err := x.Unscanned(t.Context()); err != nil || v.Decision != plugins.Quarantine || !v.Failed || v.Plugin != "tested" {
		t.Errorf("when it is off: %+v, %v", v, err)
	}
}

func TestKeysAreHandedToNobodyWithoutTheCapability(t *testing.T) {
	t.Parallel()
	x, ctx := run(t, options{kind: "acting"}), t.Context()
	keyed := release("news", channel.Media)
	keyed.Body.Entries[0].Root.Key = codec.Key{1}
	plan, err := x.Plan(ctx, "keys", keyed, []Planned{{"a.txt", "a.txt"}}, nil)
	if c, ok := plan["a.txt"]; err != nil || !ok || c.Skip {
		t.Errorf("PlanFetch: %+v, %v", plan, err)
	}
	e := channel.FileEntry{Name: "f", Size: 6, Root: codec.Ref{Key: codec.Key{1}}}
	v, err := x.Scan(ctx, Content{Entry: e, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("plain!")), nil }})
	if err != nil || v.Reason == "I have the key" || v.Failed {
		t.Errorf("ScanContent: %+v, %v", v, err)
	}
	_, doc, err := x.Render(ctx, "tested", View{Format: "text", Releases: func(yield func(Release, error) bool) { yield(keyed, nil) }})
	if err != nil || !bytes.Contains(doc, []byte("news")) || bytes.Contains(doc, []byte("I have the key")) {
		t.Errorf("Render: %q, %v", doc, err)
	}
}

func TestAWishBeyondItsBoundsIsNoAnswer(t *testing.T) {
	t.Parallel()
	x := run(t, options{kind: "acting", host: often})
	for i, wish := range []string{"far", "deep", "long", "said"} {
		plan, err := x.Plan(t.Context(), wish, release("news", channel.Media), []Planned{{"a.txt", "a.txt"}}, nil)
		if err != nil || len(plan) != 0 {
			t.Errorf("%s: %+v, %v", wish, plan, err)
		}
		eventually(t, wish+" is a failure", func() bool { return x.Status()[0].Failures == i+1 })
	}
}

func TestFailuresAreForgottenAfterAnHour(t *testing.T) {
	t.Parallel()
	x := run(t, options{kind: "good", host: func(c *Config) { c.Backoff = []time.Duration{time.Second, 2 * time.Second} }})
	// Asked once, it has a log.
	if _, err := x.Filter(t.Context(), release("news", channel.Media)); err != nil {
		t.Fatal(err)
	}
	m := x.members[0]
	now := time.Unix(1e9, 0)
	at := func(after time.Duration) {
		m.mu.Lock()
		defer m.mu.Unlock()
		now = now.Add(after)
		then := now
		m.now = func() time.Time { return then }
	}
	broken := fmt.Errorf("%w: so", plugins.ErrFailed)
	for i, test := range []struct {
		after time.Duration
		pause time.Duration
		again bool
	}{{0, time.Second, true}, {time.Minute, 2 * time.Second, true}, {time.Hour, 2 * time.Second, true}, {time.Hour + time.Second, time.Second, true}, {0, 2 * time.Second, true}, {59 * time.Minute, 0, false}} {
		at(test.after)
		if pause, again := m.failed(broken); pause != test.pause || again != test.again {
			t.Errorf("failure %d: %v, %v", i, pause, again)
		}
	}
	if s := x.Status()[0]; s.State != Off || strings.Count(s.Reason, plugins.ErrFailed.Error()) != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestPluginsAreAskedByPriorityAndThenById(t *testing.T) {
	dir := t.TempDir()
	s, err := shelf.Open(filepath.Join(dir, "plugins"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for id, priority := range map[string]int{"d": 0, "b": 0, "c": 5, "a": -5, "e": 0} {
		from := filepath.Join(dir, id)
		text := fmt.Sprintf("format: 1\nid: %s\nversion: 1.0.0\nhooks: [FilterManifest]\npriority: %d\nbinaries: {any: plugin}\n", id, priority)
		err := errors.Join(os.Mkdir(from, 0o700), os.WriteFile(filepath.Join(from, plugins.ManifestFile), []byte(text), 0o600), os.WriteFile(filepath.Join(from, "plugin"), []byte("#!"), 0o700))
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Stage(t.Context(), from)
		if err == nil {
			_, err = st.Install(from, func(p *plugins.Installed) error {
				if p.Enabled = true; id == "e" { // as the operator says
					first := 7
					p.Priority = &first
				}
				return nil
			})
			st.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h, err := New(Config{Shelf: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Run(ctx) }()
	<-h.known
	var got []string
	for _, p := range h.Status() {
		got = append(got, p.ID)
	}
	cancel()
	<-ended
	if !slices.Equal(got, []string{"e", "c", "b", "d", "a"}) {
		t.Errorf("in the order %v", got)
	}
}
