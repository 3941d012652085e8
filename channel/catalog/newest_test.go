package catalog

import (
	"errors"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestTheNewestReleasesComeLastFirstAndOneIsFoundByItsHash(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	for _, name := range []string{"a", "b", "c"} {
		offer(t, c, ch.Files(name), feed.Accepted)
	}
	all, err := c.Releases(t.Context(), ch.ID, 0, 0)
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	newest, err := c.Newest(t.Context(), ch.ID, 2)
	if err != nil || !slices.Equal(newest, []int64{all[2].Position, all[1].Position}) {
		t.Errorf("newest: %v, %v", newest, err)
	}
	offer(t, c, ch.Files("b"), feed.Accepted) // release 2 does not count any more, as soon as a snapshot says so
	appended(t, c, ch)
	if all, err = c.Releases(t.Context(), ch.ID, 0, 0); err != nil {
		t.Fatal(err)
	}
	if newest, err = c.Newest(t.Context(), ch.ID, 9); err != nil || !slices.Equal(newest, []int64{all[3].Position, all[2].Position, all[0].Position}) {
		t.Errorf("newest that count: %v, %v", newest, err)
	}
	if r, err := c.Release(t.Context(), ch.ID, all[1].Hash); err != nil || r.Seq != 2 || r.Body == nil {
		t.Errorf("by its hash: %+v, %v", r, err)
	}
	if _, err := c.Release(t.Context(), ch.ID, channel.Hash{1}); !errors.Is(err, ErrUnknown) {
		t.Errorf("by another: %v", err)
	}
	if _, err := c.Newest(t.Context(), channel.ID{1}, 2); !errors.Is(err, ErrUnknown) {
		t.Errorf("of another channel: %v", err)
	}
}
