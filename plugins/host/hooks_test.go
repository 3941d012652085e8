//go:build unix

package host

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

func TestAFilterAllowsDeniesMasksAndLabels(t *testing.T) {
	x := run(t, options{kind: "good"})
	with := func(title string) Release { return release(title, channel.Update) }
	keyed := with("key")
	keyed.Body.Entries[0].Root.Key = codec.Key{1}
	v, err := x.Filter(context.Background(), with("news"), with("cats"), with("later"), with("mask"), keyed)
	if err != nil {
		t.Fatal(err)
	}
	if v[0].Decision != plugins.Allow || v[0].Labels["seen"] != "news" {
		t.Errorf("news: %+v", v[0])
	}
	if v[1].Decision != plugins.Deny || v[1].Plugin != "tested" || v[1].Reason != "about cats" {
		t.Errorf("cats: %+v", v[1])
	}
	if v[2].Decision != plugins.Quarantine || v[2].Failed {
		t.Errorf("later: %+v", v[2])
	}
	if len(v[3].Mask) != 1 || v[3].Mask["b.txt"] != "tested" {
		t.Errorf("mask: %+v", v[3])
	}
	if v[4].Decision != plugins.Allow {
		t.Errorf("it has a key that nobody granted: %+v", v[4])
	}
	// What it says itself that it cannot is no reason to start it again.
	if v, err = x.Filter(context.Background(), with("error"), release("error", channel.Media)); err != nil || v[0].Decision != plugins.Quarantine || !v[0].Failed {
		t.Errorf("an error: %+v, %v", v, err)
	}
	if v, err = x.Filter(context.Background(), release("error", channel.Media)); err != nil || v[0].Decision != plugins.Allow {
		t.Errorf("an error about media: %+v, %v", v, err)
	}
	if s := x.Status()[0]; s.Starts != 1 || s.Failures != 0 || s.Hooks[plugins.FilterManifest].Errors != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestTheOtherHooksDoWhatTheyShould(t *testing.T) {
	x, ctx := run(t, options{kind: "acting"}), context.Background()
	t.Run("PlanFetch", func(t *testing.T) {
		plan, err := x.Plan(ctx, "sub", release("news", channel.Media), []Planned{{"a.txt", "a.txt"}, {"b.txt", "b.txt"}}, nil)
		if err != nil || len(plan) != 2 || !plan["a.txt"].Skip || plan["b.txt"].Path != "else/b.txt" || plan["b.txt"].Priority != 5 {
			t.Errorf("got %+v, %v", plan, err)
		}
	})
	t.Run("ScanContent", func(t *testing.T) {
		for text, want := range map[string]plugins.Decision{
			"harmless": plugins.Allow, strings.Repeat("large ", 1<<20): plugins.Allow, "virus" + strings.Repeat("x", 8<<20): plugins.Deny,
		} {
			e := channel.FileEntry{Name: "f", Size: uint64(len(text)), SHA256: sha256.Sum256([]byte(text))}
			v, err := x.Scan(ctx, Content{Entry: e, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
			if err != nil || v.Decision != want {
				t.Errorf("%.10s: %+v, %v", text, v, err)
			}
		}
		broken := errors.New("disk")
		_, err := x.Scan(ctx, Content{Open: func() (io.ReadCloser, error) { return nil, broken }})
		if !errors.Is(err, broken) {
			t.Errorf("a file that cannot be read: %v", err)
		}
	})
	t.Run("BeforePublish", func(t *testing.T) {
		draft := func(title string) Draft {
			return Draft{Title: title, Entries: []channel.FileEntry{{Name: "a.txt", Size: 1, Root: codec.Ref{Size: 1}}, {Name: "b.txt", Size: 2}}}
		}
		d, err := x.BeforePublish(ctx, channel.ID{}, draft("v1"))
		if err != nil || d.Title != "v1, checked" || len(d.Entries) != 1 || d.Entries[0].Attrs["checked"] != "yes" || d.Entries[0].Root.Size != 1 {
			t.Errorf("got %+v, %v", d, err)
		}
		if _, err := x.BeforePublish(ctx, channel.ID{}, draft("bad")); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "no notes") {
			t.Errorf("a bad draft: %v", err)
		}
	})
	t.Run("Sign", func(t *testing.T) {
		keys, err := x.PublicKeys(ctx, "tested")
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys %v, %v", keys, err)
		}
		sig, err := x.Sign(ctx, "tested", keys[0], []byte("DSSEv1"))
		if err != nil || !ed25519.Verify(keys[0][:], []byte("DSSEv1"), sig) {
			t.Errorf("signature %x, %v", sig, err)
		}
	})
	t.Run("Render", func(t *testing.T) {
		view := View{Title: "Radio", Format: "text", Releases: func(yield func(Release, error) bool) {
			for _, title := range []string{"three", "two", "one"} {
				if !yield(release(title, channel.Media), nil) {
					return
				}
			}
		}}
		kind, doc, err := x.Render(ctx, "tested", view)
		if err != nil || kind != "text/plain" || string(doc) != "Radio as text\nthree\ntwo\none\n" {
			t.Errorf("got %s %q, %v", kind, doc, err)
		}
	})
	t.Run("Source", func(t *testing.T) {
		var got []string
		var cursor []byte
		each := func(item *pluginv1.SourceItem, after []byte) error {
			got, cursor = append(got, item.Id), after
			return nil
		}
		if err := x.Poll(ctx, "tested", "here", nil, each); err != nil || len(got) != 3 {
			t.Errorf("got %v, %v", got, err)
		}
		if err := x.Poll(ctx, "tested", "here", cursor, each); err != nil || len(got) != 3 {
			t.Errorf("after the last: %v, %v", got, err)
		}
		if err := x.Poll(ctx, "tested", "here", []byte("one"), each); err != nil || strings.Join(got[3:], " ") != "two three" {
			t.Errorf("after the first: %v, %v", got, err)
		}
		stop := errors.New("enough")
		if err := x.Poll(ctx, "tested", "here", nil, func(*pluginv1.SourceItem, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("an error of the host's own: %v", err)
		}
		var buf bytes.Buffer
		if err := x.Open(ctx, "tested", "ab", 1, 1<<20, &buf); err != nil || buf.Len() != 399_999 {
			t.Errorf("%d bytes, %v", buf.Len(), err)
		}
	})
	t.Run("Mirror", func(t *testing.T) {
		blob, rotten := bytes.Repeat([]byte("blob"), 300_000), []byte("rotten")
		id, rot := blobnet.Sum(blob), blobnet.Sum(rotten)
		for _, b := range [][]byte{blob, rotten} {
			if err := x.Put(ctx, "tested", blobnet.Sum(b), b); err != nil {
				t.Fatal(err)
			}
		}
		if has, err := x.HasBlobs(ctx, "tested", []blobnet.ID{id, {9}}); err != nil || !has[0] || has[1] {
			t.Errorf("has %v, %v", has, err)
		}
		if got, err := x.Get(ctx, "tested", id); err != nil || !bytes.Equal(got, blob) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := x.Delete(ctx, "tested", []blobnet.ID{id}); err != nil {
			t.Error(err)
		}
		if _, err := x.Get(ctx, "tested", id); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("one that is gone: %v", err)
		}
		if _, err := x.Get(ctx, "tested", rot); !errors.Is(err, plugins.ErrFailed) {
			t.Errorf("other bytes: %v", err)
		}
	})
}

func TestAnEditThatIsNoneStopsThePublication(t *testing.T) {
	for _, title := range []string{"swap", "add"} {
		x := run(t, options{kind: "acting"})
		d := Draft{Title: title, Entries: []channel.FileEntry{{Name: "a.txt", Size: 1}}}
		if _, err := x.BeforePublish(context.Background(), channel.ID{}, d); !errors.Is(err, plugins.ErrFailed) {
			t.Errorf("%s: %v", title, err)
		}
	}
}

func TestAForgedSignatureIsNone(t *testing.T) {
	x := run(t, options{kind: "acting"})
	key := channel.PublicKey(signKey.Public().(ed25519.PublicKey))
	if _, err := x.Sign(context.Background(), "tested", key, []byte("other")); !errors.Is(err, plugins.ErrFailed) {
		t.Errorf("got %v", err)
	}
}

func TestAnObserverGetsEachEventAtLeastOnceAndGoesOnWhereItWas(t *testing.T) {
	x := run(t, options{kind: "acting"})
	eventually(t, "it observes", func() bool { return x.Status()[0].State == Ready && fileExists(x.shelf.CursorFile("tested")) })
	events := func() string {
		state, _ := x.shelf.State("tested")
		text, _ := os.ReadFile(filepath.Join(state, "events"))
		return string(text)
	}
	for _, name := range []string{"one", "two", "die", "three"} {
		x.Observed(name, map[string]string{"is": name})
	}
	// It dies of the third and gets it again; after three deaths it is off, and
	// where it was is kept.
	eventually(t, "it is off", func() bool { return x.Status()[0].State == Off })
	if got := events(); !strings.HasPrefix(got, "one {") || strings.Count(got, "die {") != 3 || strings.Contains(got, "three") {
		t.Errorf("it got\n%s", got)
	}
	// Whether its last words arrived before it died nobody knows.
	cursor, err := readCursor(x.shelf.CursorFile("tested"))
	if err != nil || cursor > 2 || x.Status()[0].Observed != cursor {
		t.Errorf("its cursor is %d, %v", cursor, err)
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestWhatHappensWhileNobodyRunsIsThereLater(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "events.db")
	for range 2 {
		j, err := OpenJournal(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		j.Add("one", 1)
		ended, stop := context.WithCancel(ctx)
		stop()
		if err := j.Run(ended); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path+"x", []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if got, err := j.After(ctx, 0, 10); err != nil || len(got) != 2 || got[1].Cursor != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	damaged, err := OpenJournal(ctx, path+"x")
	if err != nil {
		t.Fatal(err)
	}
	damaged.Close()
}
