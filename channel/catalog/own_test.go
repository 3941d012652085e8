package catalog

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestOwnChannelIsFoundUnderAnyOfItsTopics(t *testing.T) {
	c := fresh(t)
	found := func(ch *channeltest.Channel, under string) {
		t.Helper()
		own := Own{Channel: ch.ID, Topic: under, Key: channeltest.Pub("me"), KeyFile: "publish.pem"}
		if err := c.Found(context.Background(), own, ch.Envelope); err != nil {
			t.Fatal(err)
		}
	}
	is := func(topic string, want *channeltest.Channel, fault error) {
		t.Helper()
		own, err := c.OwnByTopic(context.Background(), topic, channeltest.Pub("me"))
		if want == nil {
			if !errors.Is(err, fault) {
				t.Errorf("%s: %v, want %v", topic, err, fault)
			}
		} else if err != nil || own.Channel != want.ID {
			t.Errorf("%s: %+v, %v", topic, own, err)
		}
	}
	first, second, third := channeltest.NewChannel(t, "one", "a", "b"), channeltest.NewChannel(t, "two", "b", "c"), channeltest.NewChannel(t, "three", "a", "c")
	found(first, "a")
	is("a", first, nil)
	is("b", first, nil)
	is("c", nil, fs.ErrNotExist)
	found(second, "b")
	is("a", first, nil)
	is("b", second, nil) // it was made under it
	is("c", second, nil)
	found(third, "a")
	is("a", nil, ErrSeveral)
	is("b", second, nil)
	is("c", nil, ErrSeveral)
	if _, err := c.OwnByTopic(context.Background(), "a", channeltest.Pub("other")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of another key: %v", err)
	}

	// A channel that has moved is not found where it was.
	if err := c.Append(context.Background(), first.Replace(func(r *channel.Root) { r.Topics = []string{"d"} })); err != nil {
		t.Fatal(err)
	}
	is("d", first, nil)
	is("a", third, nil)
}
