package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Whoever found a channel on a topic did not ask for it: a stranger must not be
// able to fill the disk with versions of its root.
func TestSybilChannelsRootsAreBoundedUntilTheChannelIsFollowed(t *testing.T) {
	ch := channeltest.NewChannel(t, "sybil", "software/linux")
	c := fresh(t)
	if err := c.Expect(t.Context(), ch.ID, Listed); err != nil {
		t.Fatal(err)
	}
	roots := [][]byte{ch.Envelope}
	for i := range MaxListedRoots + 2 {
		roots = append(roots, ch.Replace(func(r *channel.Root) { r.Title = fmt.Sprint("Title ", i+2) }))
	}
	out, err := c.OfferAll(t.Context(), roots)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		want := feed.Accepted
		switch {
		case i == MaxListedRoots:
			if want = feed.Ignored; !errors.Is(o.Err, ErrNotFollowed) {
				t.Errorf("root %d: %v", i+1, o.Err)
			}
		case i > MaxListedRoots:
			want = feed.Ignored // nobody knows the version before it
		}
		if o.Verdict != want {
			t.Errorf("root %d is %s (%v), want %s", i+1, o.Verdict, o.Err, want)
		}
	}
	offer(t, c, roots[3], feed.Duplicate)
	if kept, err := c.Roots(t.Context(), ch.ID, 1, 100, 1<<20); err != nil || len(kept) != MaxListedRoots {
		t.Errorf("%d roots are kept, want %d; %v", len(kept), MaxListedRoots, err)
	}
	if err := c.Expect(t.Context(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	for _, r := range roots[MaxListedRoots:] {
		offer(t, c, r, feed.Accepted)
	}
}

func TestTitlesOfATopicAreThoseOfTheNewestRoots(t *testing.T) {
	c := fresh(t)
	alice, bob := channeltest.NewChannel(t, "alice", "a", "b"), channeltest.NewChannel(t, "bob", "b")
	for _, ch := range []*channeltest.Channel{alice, bob} {
		if err := c.Expect(t.Context(), ch.ID, Listed); err != nil {
			t.Fatal(err)
		}
		offer(t, c, ch.Envelope, feed.Accepted)
	}
	want := func(topic string, want ...Listing) {
		t.Helper()
		if got, err := c.ListedOn(t.Context(), topic); err != nil || !slices.Equal(got, want) {
			t.Errorf("on %s: %+v, %v; want %+v", topic, got, err, want)
		}
	}
	want("b", Listing{alice.ID, "Channel of alice"}, Listing{bob.ID, "Channel of bob"})
	offer(t, c, bob.Replace(func(r *channel.Root) { r.Title = "" }), feed.Accepted)
	offer(t, c, alice.Replace(func(r *channel.Root) { r.Title, r.Topics = "Moved", []string{"a"} }), feed.Accepted)
	want("a", Listing{alice.ID, "Moved"})
	want("b", Listing{bob.ID, ""})
	want("c")
	if err := c.Expect(t.Context(), alice.ID, Followed); err != nil {
		t.Fatal(err)
	}
	want("a", Listing{alice.ID, "Moved"})
	if got, err := c.Topics(t.Context()); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("topics: %q, %v", got, err)
	}
}

// Who asks for a few of many channels, and asks often, learns of all.
func TestSomeChannelsOfATopicAreAnotherChoiceEachTime(t *testing.T) {
	c := fresh(t)
	const channels, most = 6, 4
	for i := range channels {
		ch := channeltest.NewChannel(t, fmt.Sprint("channel ", i), "crowded")
		if err := c.Expect(t.Context(), ch.ID, Listed); err != nil {
			t.Fatal(err)
		}
		offer(t, c, ch.Envelope, feed.Accepted)
	}
	seen := make(map[channel.ID]bool)
	for range 200 { // that one is never chosen has a chance of 6 in 3^200
		ids, err := c.SomeOn(t.Context(), "crowded", most)
		if err != nil || len(ids) != most {
			t.Fatalf("%d channels, %v", len(ids), err)
		}
		for _, id := range ids {
			seen[id] = true
		}
	}
	if len(seen) != channels {
		t.Errorf("only %d of %d channels were ever chosen", len(seen), channels)
	}
}

// A home made by the program before this one opens, and loses nothing.
func TestCatalogueOfTheFirstSchemaIsBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	ch := channeltest.NewChannel(t, "alice", "software/linux")
	c := open(t, path)
	follow(t, c, ch)
	offer(t, c, ch.Files("a"), feed.Accepted)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	exec1(t, path, undo3+"ALTER TABLE channels DROP COLUMN title; CREATE TABLE seeds (id BLOB PRIMARY KEY) WITHOUT ROWID; PRAGMA user_version = 1")
	c = open(t, path)
	if got, err := c.ListedOn(t.Context(), "software/linux"); err != nil || !slices.Equal(got, []Listing{{ch.ID, "Channel of alice"}}) {
		t.Errorf("listed: %+v, %v", got, err)
	}
	offer(t, c, ch.Replace(func(r *channel.Root) { r.Title = "New" }), feed.Accepted)
	if got, err := c.ListedOn(t.Context(), "software/linux"); err != nil || len(got) != 1 || got[0].Title != "New" {
		t.Errorf("listed: %+v, %v", got, err)
	}
	if i := info(t, c, ch.ID); i.Releases != 1 || i.Entries != 1 {
		t.Errorf("info: %+v", i)
	}
}
