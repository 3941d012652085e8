package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// crowd is a catalogue with few places, and a clock that is turned by hand.
type crowd struct {
	*Catalog
	t   *testing.T
	now time.Time
}

const fewPlaces = 16

func newCrowd(t *testing.T) *crowd {
	w := &crowd{t: t, now: clock()}
	c, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: func() time.Time { return w.now }, MaxPlaces: fewPlaces})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.Catalog = c
	return w
}

// list lists a channel by this name, found on "crowded".
func (w *crowd) list(name, source string) error {
	w.t.Helper()
	ch := channeltest.NewChannel(w.t, name, "crowded")
	err := w.List(w.t.Context(), ch.ID, "crowded", source)
	if err == nil {
		_, err = w.Offer(w.t.Context(), ch.Envelope)
	}
	return err
}

func (w *crowd) listed(names ...string) int {
	w.t.Helper()
	n := 0
	for _, name := range names {
		if _, err := w.Channel(w.t.Context(), channeltest.NewChannel(w.t, name, "crowded").ID); err == nil {
			n++
		} else if !errors.Is(err, ErrUnknown) {
			w.t.Fatal(err)
		}
	}
	return n
}

func (w *crowd) places() (n int) {
	w.t.Helper()
	if err := w.view(w.t.Context(), "counting", func(s *session) error {
		return s.get([]any{&n}, "SELECT count(*) FROM places WHERE topic = 'crowded'")
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func called(what string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(what, " ", i)
	}
	return out
}

// flood lists channels that nobody can tell from honest ones.
func (w *crowd) flood(round string, n int, sources ...string) {
	w.t.Helper()
	for i, name := range called("made up "+round, n) {
		if err := w.list(name, sources[i%len(sources)]); err != nil && !errors.Is(err, ErrCrowded) {
			w.t.Fatal(err)
		}
	}
}

func TestSybilChannelsDoNotPushOutWhatHasBeenThereForLonger(t *testing.T) {
	w := newCrowd(t)
	old := called("honest", fewPlaces/2)
	for _, name := range old {
		if err := w.list(name, "honest peer"); err != nil {
			t.Fatal(err)
		}
	}
	for day := range 5 {
		w.now = w.now.Add(newFor + time.Hour)
		w.flood(fmt.Sprint(day), 3*fewPlaces, "evil 1", "evil 2", "evil 3")
		if n := w.places(); n > fewPlaces {
			t.Errorf("day %d: %d places are taken", day, n)
		}
		if n := w.listed(old...); n != len(old) {
			t.Fatalf("day %d: %d of %d honest channels are left", day, n, len(old))
		}
	}
}

func TestSybilChannelsDoNotKeepOutWhatOthersName(t *testing.T) {
	w := newCrowd(t)
	w.flood("at first", 10*fewPlaces, "evil 1", "evil 2", "evil 3")
	if n := w.places(); n != fewPlaces {
		t.Fatalf("%d places are taken", n)
	}
	if err := w.list("honest", "honest peer"); err != nil {
		t.Fatalf("an honest newcomer: %v", err)
	}
	w.flood("again", 10*fewPlaces, "evil 1", "evil 2", "evil 3")
	if w.listed("honest") != 1 {
		t.Error("the honest newcomer was pushed out")
	}
	// Who floods already has its share, and gets no more.
	if err := w.list("one more", "evil 1"); !errors.Is(err, ErrCrowded) {
		t.Errorf("one more of them: %v", err)
	}
}

// Naming an honest channel among many made-up ones does not make it one of them.
func TestSybilSourcesDoNotDragDownWhatTheyName(t *testing.T) {
	w := newCrowd(t)
	if err := w.list("honest", "evil 1"); err != nil {
		t.Fatal(err)
	}
	w.flood("beside it", fewPlaces-1, "evil 1")
	if err := w.list("honest", "honest peer"); err != nil {
		t.Fatal(err)
	}
	for i, name := range called("newcomer", 5) {
		if err := w.list(name, fmt.Sprint("peer ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if w.listed("honest") != 1 || w.listed(called("newcomer", 5)...) != 5 {
		t.Error("honest channels gave way")
	}
}

func TestWhatIsSeenToBeFollowedStaysAndWhatIsFollowedHereNeedsNoPlace(t *testing.T) {
	w := newCrowd(t)
	all := called("old", fewPlaces)
	for _, name := range all {
		if err := w.list(name, "peer"); err != nil {
			t.Fatal(err)
		}
	}
	idOf := func(name string) channel.ID { return channeltest.NewChannel(t, name, "crowded").ID }
	youngest := all[fewPlaces-1]
	if err := w.Seen(t.Context(), []Sighting{{Channel: idOf(youngest), Followers: 3, Weight: 7}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Expect(t.Context(), idOf(all[fewPlaces-2]), Followed); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(newFor + time.Hour)
	w.flood("new", fewPlaces, "evil")
	if w.listed(youngest) != 1 || w.listed(all[fewPlaces-2]) != 1 {
		t.Error("what is followed gave way")
	}
	if n := w.listed(all...); n == len(all) || n < len(all)*3/4 {
		t.Errorf("%d of %d old channels are left", n, len(all))
	}
	// What gave way is gone from everywhere.
	res, err := w.Search(t.Context(), Search{Query: "channel", Limit: MaxHits})
	if err != nil || len(res.Hits) != fewPlaces {
		t.Errorf("%d are found, %v", len(res.Hits), err)
	}
	// A channel that is followed no longer is an old acquaintance.
	if err := w.Unfollow(t.Context(), idOf(all[fewPlaces-2])); err != nil {
		t.Fatal(err)
	}
	w.flood("newer", fewPlaces, "evil")
	if w.listed(all[fewPlaces-2]) != 1 {
		t.Error("what was followed gave way")
	}
}

// Who follows all that is listed follows no more than there are places.
func TestSybilChannelsAreNotFollowedWithoutEnd(t *testing.T) {
	w := newCrowd(t)
	for i := range 3 * fewPlaces {
		ch := channeltest.NewChannel(t, fmt.Sprint("made up ", i), "crowded")
		if err := w.List(t.Context(), ch.ID, "crowded", fmt.Sprint("peer ", i)); errors.Is(err, ErrCrowded) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		follow(t, w.Catalog, ch)
	}
	if l, err := w.ListedOn(t.Context(), "crowded"); err != nil || len(l) != fewPlaces {
		t.Errorf("%d are followed, %v", len(l), err)
	}
}

func TestFullestTopicGivesWayWhereTheCatalogueIsFull(t *testing.T) {
	c, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: clock, MaxListed: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list := func(name, topic, source string) error {
		ch := channeltest.NewChannel(t, name, topic)
		err := c.List(t.Context(), ch.ID, topic, source)
		if err == nil {
			offer(t, c, ch.Envelope, feed.Accepted)
		}
		return err
	}
	for i := range 8 {
		if err := list(fmt.Sprint("made up ", i), "flooded", "evil"); err != nil {
			t.Fatal(err)
		}
	}
	if err := list("one more", "flooded", "other"); !errors.Is(err, ErrFull) {
		t.Errorf("on the fullest: %v", err)
	}
	if err := list("honest", "quiet", "honest peer"); err != nil {
		t.Errorf("on a quiet one: %v", err)
	}
	if l, err := c.ListedOn(t.Context(), "flooded"); err != nil || len(l) != 7 {
		t.Errorf("%d are left, %v", len(l), err)
	}
}
