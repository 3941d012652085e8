package catalog

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// formerSizes are those of what was taken away, and whether pins are left.
func formerSizes(t *testing.T, c *Catalog) (sizes []uint64, pinned []bool) {
	t.Helper()
	all, err := c.Former(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		sizes, pinned = append(sizes, f.Entry.Size), append(pinned, f.Pinned)
	}
	return sizes, pinned
}

func TestATombstoneFindsEveryVersionThatItTakesAway(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	put := func(name string, size uint64) {
		t.Helper()
		offer(t, c, ch.Release(channel.Body{Entries: []channel.FileEntry{channeltest.Entry(name, size)}}), feed.Accepted)
	}
	put("a", 1)
	put("b", 2)
	put("a", 3)
	if sizes, _ := formerSizes(t, c); sizes != nil {
		t.Errorf("what was replaced is due: %v", sizes)
	}
	offer(t, c, ch.Release(channel.Body{Removals: []channel.Removal{{Name: "a"}, {Name: "never was"}}}), feed.Accepted)
	if sizes, pinned := formerSizes(t, c); !slices.Equal(sizes, []uint64{1, 3}) || slices.Contains(pinned, false) { // it came from elsewhere: nobody here has ordered anything
		t.Errorf("due: %v, pinned: %v", sizes, pinned)
	}
	all, err := c.Former(t.Context(), 0)
	if err == nil {
		err = c.ForgetFormer(t.Context(), all[0].No, all[1].No)
	}
	if err != nil {
		t.Fatal(err)
	}
	put("a", 4)
	if sizes, _ := formerSizes(t, c); sizes != nil {
		t.Errorf("after a name was put again: %v", sizes)
	}
}

// A release of one's own orders that the pins of what it removes and replaces are taken
// back, once; the numbers of orders go on behind what the store has done.
func TestWhatAReleaseOfOnesOwnTakesBackIsOrderedOnce(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := fresh(t)
	if err := c.Append(t.Context(), ch.Envelope); err != nil {
		t.Fatal(err)
	}
	a, newer := channeltest.Entry("a", 1), channeltest.Entry("a", 2)
	for _, step := range []struct {
		body  channel.Body
		unpin []channel.FileEntry
	}{{channel.Body{Entries: []channel.FileEntry{a}}, nil}, {channel.Body{Entries: []channel.FileEntry{newer}}, []channel.FileEntry{a}},
		{channel.Body{Removals: []channel.Removal{{Name: "a"}}}, []channel.FileEntry{newer}}} {
		if err := c.AppendRelease(t.Context(), Addition{Channel: ch.ID, Unpin: step.unpin}, ch.Release(step.body)); err != nil {
			t.Fatal(err)
		}
	}
	if sizes, pinned := formerSizes(t, c); !slices.Equal(sizes, []uint64{1, 2}) || slices.Contains(pinned, true) {
		t.Errorf("due: %v, to be ordered: %v", sizes, pinned)
	}
	due, err := c.Unpins(t.Context(), 0)
	if err != nil || len(due) != 2 || due[0].Entry.Size != 1 || due[1].Entry.Size != 2 {
		t.Fatalf("to be unpinned: %+v, %v", due, err)
	}
	behind := due[1].No + 1000
	if err := errors.Join(c.ForgetUnpins(t.Context(), due[1].No), c.UnpinsBehind(t.Context(), behind), c.UnpinsBehind(t.Context(), 5)); err != nil {
		t.Fatal(err)
	}
	if err := c.AppendRelease(t.Context(), Addition{Channel: ch.ID, Unpin: []channel.FileEntry{a}}, ch.Release(channel.Body{Title: "x", Entries: []channel.FileEntry{channeltest.Entry("b", 3)}})); err != nil {
		t.Fatal(err)
	}
	if due, err := c.Unpins(t.Context(), 0); err != nil || len(due) != 1 || due[0].No <= behind {
		t.Errorf("after the store was further: %+v, %v", due, err)
	}
}

func TestPinsAreTakenBackOnceOfWhatAnotherPublisherRemoves(t *testing.T) {
	alice := channeltest.NewChannel(t, "alice")
	c := followed(t, alice)
	second := alice.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("bob"), Role: channel.RolePublish})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	})
	bob := alice.Branch()
	bob.Name = "bob"
	offer(t, c, second, feed.Accepted)
	offer(t, c, alice.Files("a"), feed.Accepted)
	bob.Now = alice.Now.Add(60e9)
	offer(t, c, bob.Release(channel.Body{Removals: []channel.Removal{{Name: "a"}}}), feed.Accepted)
	all, err := c.Former(t.Context(), 0)
	if err != nil || len(all) != 1 || !all[0].Pinned || all[0].Log != channeltest.Pub("alice") || all[0].Channel != alice.ID {
		t.Fatalf("due: %+v, %v", all, err)
	}
	for range 2 {
		if err := c.UnpinFormer(t.Context(), all[0].No); err != nil {
			t.Fatal(err)
		}
		if due, err := c.Unpins(t.Context(), 0); err != nil || len(due) != 1 || due[0].Entry.Name != "a" {
			t.Errorf("to be unpinned: %+v, %v", due, err)
		}
	}
}

func TestWhatARevokedKeyHadReleasedIsTakenAway(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	offer(t, c, ch.Files("a", "b"), feed.Accepted)
	good := channel.Revoked{Key: ch.Key(), Seq: ch.Seq, Hash: ch.Hash}
	offer(t, c, ch.Files("of a thief"), feed.Accepted)
	offer(t, c, ch.Replace(func(r *channel.Root) {
		r.Publishers = nil
		r.Revoked = []channel.Revoked{good}
	}), feed.Accepted)
	all, err := c.Former(t.Context(), 0)
	if err != nil || len(all) != 1 || all[0].Entry.Name != "of a thief" {
		t.Errorf("due: %+v, %v", all, err)
	}
}

func TestKeepRulesAreOfOwnChannelsAlone(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	rules := json.RawMessage(`{"keep":[{"count":3}]}`)
	if err := c.SetRetention(t.Context(), ch.ID, rules); !errors.Is(err, ErrUnknown) {
		t.Errorf("rules for another's channel: %v", err)
	}
	if err := c.Found(t.Context(), Own{Channel: ch.ID, Key: ch.Key()}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetRetention(t.Context(), ch.ID, json.RawMessage(`{`)); err == nil {
		t.Error("took half of a document")
	}
	if err := c.SetRetention(t.Context(), ch.ID, rules); err != nil {
		t.Fatal(err)
	}
	got, err := c.Retention(t.Context(), ch.ID)
	if ids, listErr := c.Retained(t.Context()); err != nil || listErr != nil || string(got) != string(rules) || !slices.Equal(ids, []channel.ID{ch.ID}) {
		t.Errorf("rules: %s of %v (%v, %v)", got, ids, err, listErr)
	}
	if err := c.SetRetention(t.Context(), ch.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Retention(t.Context(), ch.ID); err != nil || got != nil {
		t.Errorf("rules that were taken away: %s, %v", got, err)
	}
}
