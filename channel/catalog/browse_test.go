package catalog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func listOn(t *testing.T, c *Catalog, name, title string, topics ...string) *channeltest.Channel {
	t.Helper()
	ch := channeltest.NewChannel(t, name, topics...)
	if err := c.List(t.Context(), ch.ID, topics[0], "peer"); err != nil {
		t.Fatal(err)
	}
	offer(t, c, ch.Envelope, feed.Accepted)
	if title != "" {
		offer(t, c, ch.Replace(func(r *channel.Root) { r.Title = title }), feed.Accepted)
	}
	return ch
}

func TestBrowsingShowsWhatLiesBelowATopic(t *testing.T) {
	c := fresh(t)
	linux := listOn(t, c, "kernel", "Kernel", "software/linux", "software/kernel/linux")
	listOn(t, c, "two", "", "software/linux/debian")
	listOn(t, c, "three", "", "software", "software-old", "music/live")
	followed := channeltest.NewChannel(t, "mine", "software/linux")
	follow(t, c, followed)
	offer(t, c, followed.Release(channel.Body{Title: "Newest"}), feed.Accepted)

	below := func(topic string, want string) Topic {
		t.Helper()
		got, err := c.Browse(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprint(got.Below); s != want {
			t.Errorf("below %q: %s, want %s", topic, s, want)
		}
		return got
	}
	below("", "[{music 1} {software 5} {software-old 1}]")
	top := below("software", "[{software/kernel 1} {software/linux 3}]")
	if len(top.Channels) != 1 || top.Channels[0].Title != "Channel of three" {
		t.Errorf("on software: %+v", top.Channels)
	}
	got := below("software/linux", "[{software/linux/debian 1}]")
	if len(got.Channels) != 2 {
		t.Fatalf("on software/linux: %+v", got.Channels)
	}
	if b := got.Channels[0]; b.ID != followed.ID || b.Seq != 1 || b.Release != "Newest" || b.Reason != Followed || b.Issued == 0 {
		t.Errorf("the first: %+v", b)
	}
	if b := got.Channels[1]; b.ID != linux.ID || b.Title != "Kernel" || len(b.Topics) != 2 || b.Seq != 0 || b.Followers != 0 {
		t.Errorf("the second: %+v", b)
	}
	if err := c.Seen(t.Context(), []Sighting{{linux.ID, 4, 9}}); err != nil {
		t.Fatal(err)
	}
	// Of a channel that is listed alone, heads say how far it is.
	linux.Files("unseen")
	offer(t, c, linux.Head(time.Hour), feed.Gap)
	if b := below("software/linux", "[{software/linux/debian 1}]").Channels[1]; b.Followers != 4 || b.Seen.IsZero() || b.Seq != 1 {
		t.Errorf("the second: %+v", b)
	}
	if ids, err := c.SomeOn(t.Context(), "software", 10); err != nil || len(ids) != 4 {
		t.Errorf("%d channels on or below, %v", len(ids), err)
	}
	if ids, err := c.SomeOn(t.Context(), "software", 1); err != nil || len(ids) != 1 {
		t.Errorf("%d channels on or below, %v", len(ids), err)
	}
}

func TestTitlesThatLookAlikeAreFlaggedOnTheSideThatIsKnownLess(t *testing.T) {
	c := fresh(t)
	listed := listOn(t, c, "first", "Radio Aurora", "music")
	later := listOn(t, c, "second", "Rаdіо-Аurоrа", "music") // with Cyrillic letters
	mine := channeltest.NewChannel(t, "mine", "music")
	offerOwn := func(title string) {
		if err := c.Expect(t.Context(), mine.ID, Followed); err != nil {
			t.Fatal(err)
		}
		offer(t, c, mine.Envelope, feed.Accepted)
		offer(t, c, mine.Replace(func(r *channel.Root) { r.Title = title }), feed.Accepted)
	}
	flags := func(want map[channel.ID]channel.ID) {
		t.Helper()
		got, err := c.LooksLike(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("%+v, %v", got, err)
		}
		for id, like := range want {
			if got[id].ID != like {
				t.Errorf("%s looks like %+v, want %s", id.Short(), got[id], like.Short())
			}
		}
	}
	flags(map[channel.ID]channel.ID{later.ID: listed.ID})
	offerOwn("RADIO AURORA")
	flags(map[channel.ID]channel.ID{later.ID: mine.ID, listed.ID: mine.ID})
	res, err := c.Search(t.Context(), Search{Query: "radio aurora"})
	if err != nil || len(res.Hits) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, h := range res.Hits {
		if (h.Channel == mine.ID) != h.Looks.ID.IsZero() {
			t.Errorf("%+v", h)
		}
	}
	// A channel that is called by its topic is like any other there.
	listOn(t, c, "plain", "music", "music")
	listOn(t, c, "plain too", "music", "music")
	flags(map[channel.ID]channel.ID{later.ID: mine.ID, listed.ID: mine.ID})
}

func TestAChannelIsKnownAndFoundByTheNamesOfItsPublishers(t *testing.T) {
	c := fresh(t)
	ch := listOn(t, c, "radio", "Radio Aurora", "music")
	name := func(names ...string) {
		t.Helper()
		offer(t, c, ch.Replace(func(r *channel.Root) {
			r.Publishers = nil
			for i, key := range []string{"radio", "guest", "other"} {
				p := channel.Publisher{Key: channeltest.Pub(key), Role: channel.RolePublish}
				if i < len(names) {
					p.Name = names[i]
				}
				r.Publishers = append(r.Publishers, p)
			}
			r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("clock"), Role: channel.RoleHead, Name: "Cellar"})
			slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
		}), feed.Accepted)
	}
	found := func(query string) []Hit {
		t.Helper()
		res, err := c.Search(t.Context(), Search{Query: query})
		if err != nil {
			t.Fatal(err)
		}
		return res.Hits
	}
	name("Zoë", "Ann")
	top, err := c.Browse(t.Context(), "music")
	if err != nil || len(top.Channels) != 1 || !slices.Equal(top.Channels[0].By, []string{"Ann", "Zoë"}) || top.Channels[0].Unnamed != 1 {
		t.Fatalf("%+v, %v", top, err)
	}
	for _, query := range []string{"zoe", "aurora ann", "music zo"} {
		if hits := found(query); len(hits) != 1 || hits[0].Channel != ch.ID || hits[0].score <= 0 || hits[0].Snippet != `music by "Ann", "Zoë"` {
			t.Errorf("%s: %+v", query, hits)
		}
	}
	if hits := found("aurora"); len(hits) != 1 || hits[0].Snippet != "" {
		t.Errorf("by its title: %+v", hits)
	}
	if hits := found("cellar"); len(hits) != 0 {
		t.Errorf("by the name of a head key: %+v", hits)
	}
	// The newest root counts.
	name("Ann", "Ann", "Ann")
	if hits := found("zoe"); len(hits) != 0 {
		t.Errorf("by a name of before: %+v", hits)
	}
	if top, err = c.Browse(t.Context(), "music"); err != nil || !slices.Equal(top.Channels[0].By, []string{"Ann"}) || top.Channels[0].Unnamed != 0 {
		t.Errorf("%+v, %v", top, err)
	}
}
