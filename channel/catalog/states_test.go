package catalog

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func statesOf(t testing.TB, c *Catalog) map[channel.ID]reconcile.Channel {
	t.Helper()
	all, err := c.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[channel.ID]reconcile.Channel)
	for _, ch := range all {
		if ch.Key != ch.ID.Discovery() {
			t.Errorf("channel %s has the key %s", ch.ID, ch.Key)
		}
		out[ch.ID] = ch
	}
	return out
}

// TestStatesChangeWithEverythingThatSyncCanBring, of the channel that it brings it
// to, and of no other.
func TestStatesChangeWithEverythingThatSyncCanBring(t *testing.T) {
	a, b := channeltest.NewChannel(t, "alice"), channeltest.NewChannel(t, "bob")
	c := followed(t, a)
	if err := c.Expect(t.Context(), b.ID, Followed); err != nil {
		t.Fatal(err)
	}
	before := statesOf(t, c)
	if len(before) != 2 || !before[a.ID].Rooted || before[b.ID].Rooted {
		t.Fatalf("at first %+v", before)
	}
	other := before[b.ID].Digest
	branch := a.Branch()
	for _, step := range []struct {
		what     string
		envelope func() []byte
		verdict  feed.Verdict
	}{
		{"a manifest", func() []byte { return a.Files("a") }, feed.Accepted},
		{"a head", func() []byte { return a.Head(time.Hour) }, feed.Accepted},
		{"a newer head", func() []byte { return a.Head(time.Hour) }, feed.Accepted},
		{"a root", func() []byte { return a.Replace(func(r *channel.Root) { r.Title = "new" }) }, feed.Accepted},
		{"a fork", func() []byte { branch.Now = branch.Now.Add(time.Minute); return branch.Files("b") }, feed.Forked},
	} {
		offer(t, c, step.envelope(), step.verdict)
		after := statesOf(t, c)
		if after[a.ID].Digest == before[a.ID].Digest || after[b.ID].Digest != other {
			t.Errorf("%s: the state vector of one channel should have changed", step.what)
		}
		before = after
	}
	if again := statesOf(t, c); again[a.ID] != before[a.ID] {
		t.Error("changed by itself")
	}
}

// TestNodesThatHaveTheSameHaveOneState, whatever way it came.
func TestNodesThatHaveTheSameHaveOneState(t *testing.T) {
	a := channeltest.NewChannel(t, "alice")
	all := [][]byte{a.Files("a"), a.Files("b"), a.Head(time.Hour)}
	one := followed(t, a)
	for _, e := range all {
		offer(t, one, e, feed.Accepted)
	}
	two := followed(t, a)
	if _, err := two.OfferAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if x, y := statesOf(t, one)[a.ID], statesOf(t, two)[a.ID]; x != y || !x.Rooted {
		t.Errorf("%+v and %+v", x, y)
	}
}

func TestListedChannelsAreInNoState(t *testing.T) {
	a := channeltest.NewChannel(t, "alice")
	c := followed(t, a)
	if err := c.Expect(t.Context(), channel.ID{1}, Listed); err != nil {
		t.Fatal(err)
	}
	if all := statesOf(t, c); len(all) != 1 {
		t.Errorf("%d channels", len(all))
	}
}

// BenchmarkStates is what a session of reconciliation reads of 100,000 channels of
// one log and head each: all at first, when one has changed, and when none has.
func BenchmarkStates(b *testing.B) {
	const n = 100_000
	a := channeltest.NewChannel(b, "alice")
	a.Files("a")
	head := a.Head(time.Hour)
	c, err := Open(b.Context(), Config{Path: filepath.Join(b.TempDir(), "aml.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	err = c.update(b.Context(), "filling", func(t *tx) error {
		for i := range n {
			var id channel.ID
			binary.BigEndian.PutUint64(id[:], uint64(i))
			key := id.Discovery()
			no, err := t.insert("INSERT INTO channels (id, discovery, reason, revision, version) VALUES (?, ?, ?, 3, 1)", id[:], key[:], Followed)
			if err != nil {
				return err
			}
			pub := a.Key()
			if _, err := t.exec(`INSERT INTO logs (channel, key, seq, hash, issued, root, epoch, frozen, head) VALUES (?, ?, 1, ?, 1, 1, 0, 0, ?)`,
				no, pub[:], a.Hash[:], head); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	read := func(b *testing.B) {
		if all, err := c.States(b.Context()); err != nil || len(all) != n {
			b.Fatal(len(all), err)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			c.states = newStates()
			read(b)
		}
	})
	b.Run("one changed", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := c.update(b.Context(), "moving", func(t *tx) error {
				_, err := t.exec("UPDATE channels SET revision = revision + 1 WHERE no = ?", 1+i*77%n)
				return err
			}); err != nil {
				b.Fatal(err)
			}
			read(b)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			read(b)
		}
	})
}
