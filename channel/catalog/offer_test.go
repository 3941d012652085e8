package catalog

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// clock is the tests' time.
func clock() time.Time { return channeltest.Epoch().Add(24 * time.Hour) }

func open(t testing.TB, path string) *Catalog {
	t.Helper()
	c, err := Open(context.Background(), Config{Path: path, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func fresh(t testing.TB) *Catalog { return open(t, filepath.Join(t.TempDir(), "aml.db")) }

// followed returns a catalogue that follows a channel and has its root.
func followed(t testing.TB, ch *channeltest.Channel) *Catalog {
	t.Helper()
	c := fresh(t)
	follow(t, c, ch)
	return c
}

func follow(t testing.TB, c *Catalog, ch *channeltest.Channel) {
	t.Helper()
	if err := c.Expect(context.Background(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, ch.Envelope, feed.Accepted)
}

func offer(t testing.TB, c *Catalog, envelope []byte, want feed.Verdict) feed.Outcome {
	t.Helper()
	o, err := c.Offer(context.Background(), envelope)
	if err != nil {
		t.Fatal(err)
	}
	if o.Verdict != want {
		t.Fatalf("%s %d is %s (%v), want %s", o.Kind, o.Seq, o.Verdict, o.Err, want)
	}
	return o
}

func info(t testing.TB, c *Catalog, id channel.ID) Info {
	t.Helper()
	i, err := c.Channel(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestWhatNobodyExpectsIsIgnored(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := fresh(t)
	o := offer(t, c, ch.Envelope, feed.Ignored)
	if !errors.Is(o.Err, ErrUnknown) || !errors.Is(o.Err, fs.ErrNotExist) {
		t.Errorf("root of an unknown channel: %v", o.Err)
	}
	offer(t, c, ch.Files("a"), feed.Ignored)
	offer(t, c, []byte("garbage"), feed.Rejected)
	infos, err := c.Channels(t.Context())
	if err != nil || len(infos) != 0 {
		t.Errorf("channels: %v, %v", infos, err)
	}
}

func TestListedChannelKeepsHeadsButNoManifests(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice", "software/linux")
	c := fresh(t)
	if err := c.Expect(t.Context(), ch.ID, Listed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, ch.Envelope, feed.Accepted)
	m, h := ch.Files("a"), ch.Head(time.Hour)
	if o := offer(t, c, m, feed.Ignored); !errors.Is(o.Err, ErrNotFollowed) {
		t.Errorf("manifest of a listed channel: %v", o.Err)
	}
	if o := offer(t, c, h, feed.Gap); !o.Relay() {
		t.Error("the head of a listed channel is not relayed")
	}
	list, err := c.ListedOn(t.Context(), "software/linux")
	if err != nil || len(list) != 1 || list[0] != (Listing{ch.ID, "Channel of alice"}) {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	if heads, err := c.Heads(t.Context(), ch.ID); err != nil || len(heads) != 1 {
		t.Errorf("%d heads, %v", len(heads), err)
	}
	if err := c.Expect(t.Context(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, m, feed.Accepted)
	if i := info(t, c, ch.ID); i.Logs[0].Head == nil || i.Behind || i.Reason != Followed {
		t.Errorf("the claim did not become the head: %+v", i)
	}
}

func TestListedChannelsAreBounded(t *testing.T) {
	c, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: clock, MaxListed: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []error{nil, nil, ErrFull} {
		if err := c.Expect(t.Context(), channel.ID{byte(i + 1)}, Listed); !errors.Is(err, want) {
			t.Errorf("channel %d: %v, want %v", i+1, err, want)
		}
	}
	if err := c.Expect(t.Context(), channel.ID{9}, Followed); err != nil {
		t.Errorf("a followed channel beyond the bound of listed ones: %v", err)
	}
}

func TestReleasesComeInOrderAndSurviveReopening(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	follow(t, c, ch)
	var all [][]byte
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, ch.Files(name))
	}
	all = append(all, ch.Head(48*time.Hour))
	if o := offer(t, c, all[2], feed.Gap); len(o.Want) != 1 || o.Want[0] != (feed.Range{Log: ch.Key(), From: 1, To: 3}) {
		t.Errorf("want %+v", o.Want)
	}
	out, err := c.OfferAll(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Verdict != feed.Accepted {
			t.Errorf("envelope %d is %s: %v", i, o.Verdict, o.Err)
		}
	}
	for range 2 {
		i := info(t, c, ch.ID)
		if i.Releases != 3 || i.Entries != 3 || i.Bytes != 3000 || !i.Fresh || i.Forked || i.Behind {
			t.Errorf("info: %+v", i)
		}
		rel, err := c.Releases(t.Context(), ch.ID, 0, 2)
		if err != nil || len(rel) != 2 || rel[0].Seq != 1 || rel[1].Seq != 2 || rel[0].Position >= rel[1].Position {
			t.Fatalf("releases: %+v, %v", rel, err)
		}
		rel, err = c.Releases(t.Context(), ch.ID, rel[1].Position, 0)
		if err != nil || len(rel) != 1 || rel[0].Body.Entries[0].Name != "c" || rel[0].Position != i.Position {
			t.Fatalf("releases: %+v, %v", rel, err)
		}
		got, err := c.Manifests(t.Context(), ch.ID, ch.Key(), 2, 1<<63, 10, 1)
		if err != nil || len(got) != 1 || string(got[0]) != string(all[1]) {
			t.Fatalf("manifests within one byte: %d, %v", len(got), err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = open(t, path)
		offer(t, c, all[1], feed.Duplicate)
	}
}

func TestForkFreezesTheLogAndKeepsTheProof(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	offer(t, c, ch.Files("a"), feed.Accepted)
	other := ch.Branch()
	mine, theirs := ch.Files("b"), other.Files("evil")
	offer(t, c, mine, feed.Accepted)
	o := offer(t, c, theirs, feed.Forked)
	if o.Proof == nil || string(o.Proof.A) != string(mine) || string(o.Proof.B) != string(theirs) {
		t.Fatal("no proof, or a wrong one")
	}
	offer(t, c, ch.Files("c"), feed.Ignored)
	if i := info(t, c, ch.ID); !i.Forked || !i.Logs[0].Frozen || i.Entries != 2 {
		t.Errorf("info: %+v", i)
	}
	forks, err := c.Forks(t.Context(), ch.ID)
	if err != nil || len(forks) != 1 {
		t.Fatalf("forks: %d, %v", len(forks), err)
	}

	// Who has seen neither branch is convinced by the proof alone.
	late := followed(t, ch)
	lo, err := late.OfferFork(t.Context(), ch.ID, forks[0])
	if err != nil || lo.Verdict != feed.Forked || lo.Proof == nil {
		t.Fatalf("offering the proof: %+v, %v", lo, err)
	}
	if i := info(t, late, ch.ID); !i.Forked {
		t.Error("not forked after the proof")
	}
	lo, err = late.OfferFork(t.Context(), ch.ID, feed.Fork{A: mine, B: mine})
	if err != nil || lo.Verdict != feed.Rejected {
		t.Errorf("a proof of nothing: %s, %v", lo.Verdict, err)
	}
}

func TestRevocationTakesWithdrawnReleasesOutOfTheView(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	offer(t, c, ch.Files("a", "b"), feed.Accepted)
	good := channel.Revoked{Key: ch.Key(), Seq: ch.Seq, Hash: ch.Hash}
	offer(t, c, ch.Files("b", "stolen"), feed.Accepted)
	offer(t, c, ch.Replace(func(r *channel.Root) {
		r.Publishers = []channel.Publisher{{Key: channeltest.Pub("alice2"), Role: channel.RolePublish}}
		r.Revoked = []channel.Revoked{good}
	}), feed.Accepted)
	var names []string
	for e, err := range c.Entries(t.Context(), ch.ID, EntryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name)
		if e.Seq != 1 {
			t.Errorf("%s is of release %d", e.Name, e.Seq)
		}
	}
	if len(names) != 2 || names[0] != "a" || names[1] != "b" {
		t.Errorf("view: %v", names)
	}
	if i := info(t, c, ch.ID); i.Releases != 1 || i.Entries != 2 || !i.Logs[0].Revoked {
		t.Errorf("info: %+v", i)
	}
}

func TestAppendIsAllOrNothing(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := fresh(t)
	own := Own{Channel: ch.ID, Topic: "test", Key: ch.Key(), KeyFile: "keys/alice"}
	if err := c.Found(t.Context(), own, ch.Envelope); err != nil {
		t.Fatal(err)
	}
	first := ch.Files("a")
	ch.Files("b") // is lost
	third := ch.Files("c")
	if err := c.Append(t.Context(), first, third); !errors.Is(err, feed.ErrGap) {
		t.Fatalf("appending with a gap: %v", err)
	}
	if i := info(t, c, ch.ID); i.Releases != 0 || i.Reason != Owned {
		t.Errorf("something of a failed append is left: %+v", i)
	}
	for range 2 { // again, as after a crash
		if err := c.Append(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.OwnByTopic(t.Context(), "test", ch.Key())
	if err != nil || got != own {
		t.Errorf("own: %+v, %v", got, err)
	}
	if _, err := c.OwnByTopic(t.Context(), "other", ch.Key()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("own under another topic: %v", err)
	}
}

func TestWatchersAreToldAfterTheCommit(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	type event struct {
		kind     feed.Kind
		releases int64
	}
	var got []event
	cancel := c.Watch(func(id channel.ID, kind feed.Kind) {
		got = append(got, event{kind, info(t, c, id).Releases}) // reads while being told: no lock is held
	})
	if _, err := c.OfferAll(t.Context(), [][]byte{ch.Files("a"), ch.Files("b"), ch.Head(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	want := []event{{feed.KindManifest, 2}, {feed.KindHead, 2}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("told %v, want %v", got, want)
	}
	cancel()
	offer(t, c, ch.Files("c"), feed.Accepted)
	if len(got) != 2 {
		t.Error("told after cancel")
	}
}

func TestSecondOpenerSeesAndExtendsTheSameState(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	path := filepath.Join(t.TempDir(), "aml.db")
	a, b := open(t, path), open(t, path)
	follow(t, a, ch)
	for i := range 10 {
		m := ch.Files(string(rune('a' + i)))
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		offer(t, first, m, feed.Accepted)
		offer(t, second, m, feed.Duplicate)
	}
	if i := info(t, b, ch.ID); i.Releases != 10 || i.Entries != 10 {
		t.Errorf("info: %+v", i)
	}
}

func TestOldRootsAreLookedUpForOldManifests(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	m1 := ch.Files("a")
	root1 := ch.Envelope
	root2 := ch.Replace(func(r *channel.Root) { r.Title = "Second" })
	m2 := ch.Files("b")
	c := fresh(t)
	if err := c.Expect(t.Context(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	for _, e := range [][]byte{root1, root2, m1, m2} {
		offer(t, c, e, feed.Accepted)
	}
	offer(t, c, root2, feed.Duplicate)
	roots, err := c.Roots(t.Context(), ch.ID, 1, 10, 1<<20)
	if err != nil || len(roots) != 2 || string(roots[1]) != string(root2) {
		t.Errorf("roots: %d, %v", len(roots), err)
	}
	if i := info(t, c, ch.ID); i.Root.Title != "Second" || i.Releases != 2 {
		t.Errorf("info: %+v", i)
	}
	id, err := c.ByDiscovery(t.Context(), ch.ID.Discovery())
	if err != nil || id != ch.ID {
		t.Errorf("by discovery: %s, %v", id, err)
	}
}
