package catalog

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestSubscribingAgainKeepsTheCursor(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	sub, err := c.Subscribe(t.Context(), Subscription{Address: "aml://x", Channel: ch.ID, Output: "/tmp/out"})
	if err != nil || sub.ID == "" {
		t.Fatalf("%+v, %v", sub, err)
	}
	if i := info(t, c, ch.ID); i.Reason != Followed {
		t.Errorf("the channel is %s", i.Reason)
	}
	if err := c.SetCursor(t.Context(), sub.ID, ch.ID, 0, 7); err != nil {
		t.Fatal(err)
	}
	again, err := c.Subscribe(t.Context(), Subscription{Address: "aml://y", Channel: ch.ID, Output: "/tmp/out", Options: json.RawMessage(`{"a":1}`)})
	if err != nil || again.ID != sub.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	other, err := c.Subscribe(t.Context(), Subscription{Topic: "software/linux", TrustAll: true, Trust: []channel.ID{ch.ID}})
	if err != nil || other.ID == sub.ID {
		t.Fatalf("%+v, %v", other, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, path)
	subs, err := c.Subscriptions(t.Context())
	if err != nil || len(subs) != 2 {
		t.Fatalf("%+v, %v", subs, err)
	}
	for _, got := range subs {
		want := again
		if got.ID == other.ID {
			want = other
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("stored %+v, want %+v", got, want)
		}
	}
	if at, err := c.Cursor(t.Context(), sub.ID, ch.ID); err != nil || at != 7 {
		t.Errorf("cursor at %d, %v", at, err)
	}
	if err := c.Unsubscribe(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.Unsubscribe(t.Context(), sub.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unsubscribing twice: %v", err)
	}
	if at, err := c.Cursor(t.Context(), sub.ID, ch.ID); err != nil || at != 0 {
		t.Errorf("cursor after unsubscribing at %d, %v", at, err)
	}
}

func TestSubscribeRefusesWhatMakesNoSense(t *testing.T) {
	c := fresh(t)
	for name, sub := range map[string]Subscription{
		"nothing":      {Output: "/tmp"},
		"both":         {Channel: channel.ID{1}, Topic: "a"},
		"broken JSON":  {Topic: "a", Options: json.RawMessage("{")},
		"cut off JSON": {Topic: "a", Options: json.RawMessage(`{"a":`)},
	} {
		if _, err := c.Subscribe(t.Context(), sub); err == nil {
			t.Errorf("%s: subscribed", name)
		}
	}
}

func TestCursorMovesForwardOnlyAndOnlyFromWhereItIs(t *testing.T) {
	c := fresh(t)
	id := channel.ID{1}
	sub, err := c.Subscribe(t.Context(), Subscription{Channel: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		from, to int64
		want     error
	}{{0, 5, nil}, {0, 6, ErrConflict}, {5, 5, ErrConflict}, {5, 4, ErrConflict}, {6, 7, ErrConflict}, {5, 9, nil}} {
		if err := c.SetCursor(t.Context(), sub.ID, id, step.from, step.to); !errors.Is(err, step.want) {
			t.Errorf("from %d to %d: %v, want %v", step.from, step.to, err, step.want)
		}
	}
	if at, err := c.Cursor(t.Context(), sub.ID, id); err != nil || at != 9 {
		t.Errorf("cursor at %d, %v", at, err)
	}
	if err := c.SetCursor(t.Context(), "nobody", id, 0, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cursor of no subscription: %v", err)
	}
}

func TestUnfollowedChannelTakesNothingNewIn(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	offer(t, c, ch.Files("a"), feed.Accepted)
	if err := c.Unfollow(t.Context(), ch.ID); err != nil {
		t.Fatal(err)
	}
	m := ch.Files("b")
	if o := offer(t, c, m, feed.Ignored); !errors.Is(o.Err, ErrNotFollowed) {
		t.Error(o.Err)
	}
	if i := info(t, c, ch.ID); i.Reason != Listed || i.Entries != 1 {
		t.Errorf("info: %+v", i)
	}
	if err := c.Expect(t.Context(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, m, feed.Accepted)
}
