package publisher_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/publisher/given"
)

// remembering makes the world's publisher one with a memory in the file, read
// again.
func (w *world) remembering(path string) {
	w.t.Helper()
	book, err := given.Open(path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Publisher, err = publisher.New(publisher.Config{
		Blobs: &noting{w.store, w}, Ledger: &notingLedger{w.catalog, w}, Memory: book, Now: w.clock.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// copied replaces a file by a copy of itself.
func copied(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) publishTitle(c publisher.Created, title string) (publisher.Published, error) {
	return w.Publish(w.t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Title: title})
}

func TestInDoubtNothingIsSignedUntilOthersWereAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no mark on this system")
	}
	w := newWorld(t, 0)
	path := filepath.Join(t.TempDir(), "given")
	w.remembering(path)
	c := w.create("t")
	if _, err := w.publishTitle(c, "one"); err != nil {
		t.Fatal(err)
	}
	w.remembering(path) // a restart is no doubt
	if _, err := w.publishTitle(c, "two"); err != nil {
		t.Fatal(err)
	}
	copied(t, path)
	w.remembering(path)
	w.order = nil
	if _, err := w.publishTitle(c, "three"); !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("publishing: %v", err)
	}
	file := w.file("f", []byte("f"))
	_, err := w.FromDraft(t.Context(), publisher.DraftSpec{
		Channel: c.Channel, Key: w.key, Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: file}}},
	})
	if !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("making a release: %v", err)
	}
	w.clock.move(10 * 24 * time.Hour)
	if err := w.RenewHeads(t.Context()); err != nil {
		t.Errorf("renewing heads: %v", err)
	}
	if len(w.noted()) != 0 {
		t.Errorf("something was done: %v", w.noted())
	}
	if err := w.Doubt(t.Context(), c.Channel, channel.PublicKey{}); !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("the root: %v", err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), false); err != nil {
		t.Fatal(err)
	}
	if p, err := w.publishTitle(c, "three"); err != nil || p.Seq != 3 {
		t.Errorf("after others were asked: %d, %v", p.Seq, err)
	}
	// The root was not asked about.
	if _, err := w.PublishRoot(t.Context(), w.draft(c, publisher.RootChange{Title: new("x")}), nil); !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("publishing a root: %v", err)
	}
}

// The catalogue alone was restored: the memory knows better, and what others say
// does not make up for what they have not.
func TestALedgerThatEndsBeforeTheMemoryIsNotGoneOnWith(t *testing.T) {
	w := newWorld(t, 0)
	path := filepath.Join(t.TempDir(), "given")
	w.remembering(path)
	c := w.create("t")
	for _, title := range []string{"one", "two"} {
		if _, err := w.publishTitle(c, title); err != nil {
			t.Fatal(err)
		}
	}
	roots, err := w.catalog.Roots(t.Context(), c.Channel, 1, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := w.catalog.Manifests(t.Context(), c.Channel, w.key.Public(), 1, 2, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	old, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { old.Close() })
	w.catalog = old
	if err := old.Append(t.Context(), append(roots, manifests[0])...); err != nil {
		t.Fatal(err)
	}
	w.remembering(path)
	if _, err := w.publishTitle(c, "again two"); !errors.Is(err, publisher.ErrBehind) || !strings.Contains(err.Error(), "release 2 was published from here, and the log ends at 1") {
		t.Errorf("publishing: %v", err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), false); !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("others were asked, and have it not: %v", err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), true); !errors.Is(err, publisher.ErrLacks) {
		t.Errorf("a user vouches for what is certainly wrong: %v", err)
	}
	if err := old.Append(t.Context(), manifests[1]); err != nil { // one of them has
		t.Fatal(err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), false); err != nil {
		t.Error(err)
	}
	if p, err := w.publishTitle(c, "three"); err != nil || p.Seq != 3 {
		t.Errorf("%d, %v", p.Seq, err)
	}
}

// Who is the only holder says so, and goes on; what a head names is believed
// even then.
func TestTheOnlyHolderGoesOnAlone(t *testing.T) {
	w := newWorld(t, 0)
	path := filepath.Join(t.TempDir(), "given")
	c := w.create("t") // without a memory
	w.remembering(path)
	if _, err := w.publishTitle(c, "one"); !errors.Is(err, publisher.ErrBehind) {
		t.Errorf("a memory that knows nothing: %v", err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), true); err != nil {
		t.Fatal(err)
	}
	p, err := w.publishTitle(c, "one")
	if err != nil {
		t.Fatal(err)
	}
	head := channel.Head{Format: 1, Channel: c.Channel, Root: 1, Log: w.key.Public(), Seq: 2, Hash: p.Hash,
		Issued: channel.TimeOf(w.clock.Now()), Expires: channel.TimeOf(w.clock.Now().Add(time.Hour))}
	env, err := head.Sign(w.key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := channel.EncodeEnvelope(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.catalog.Offer(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if err := w.Confirm(t.Context(), c.Channel, w.key.Public(), true); !errors.Is(err, channel.ErrChain) {
		t.Errorf("a head names more: %v", err)
	}
}
