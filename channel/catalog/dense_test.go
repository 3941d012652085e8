package catalog

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Words that stand nearly everywhere are not looked up in the index where rarer
// ones do; whoever searches must not be able to tell.
func TestASearchWithAWordThatIsNearlyEverywhereFindsTheSameAsIfItWereLookedUp(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	rnd := rand.New(rand.NewPCG(1, 2))
	const total, batch = 4000, 500
	for n := 0; n < total; n += batch {
		body := channel.Body{Title: "flac week", Description: "a b c"}
		for i := n; i < n+batch; i++ {
			name := fmt.Sprintf("f%04d", i)
			for w, share := range []int{2, 3, 20, 200} { // w0 in every second, and so on
				if rnd.IntN(share) == 0 {
					name += fmt.Sprintf(" w%d", w)
				}
			}
			// "alone" stands with "flac" in the oldest rows alone: those that are
			// read for it first do not have both.
			if i%3 == 0 {
				name += " alone"
			}
			e := channeltest.Entry(name, uint64(i))
			e.Attrs = map[string]string{"artist": fmt.Sprintf("x%d", rnd.IntN(3))}
			switch {
			case i%3 == 0 && i > 200:
			case rnd.IntN(4) == 0:
				e.Attrs["kind"] = "flac"
			default:
				e.Name += ".flac"
			}
			body.Entries = append(body.Entries, e)
		}
		body.Sort()
		if err := c.AppendRelease(t.Context(), Addition{Body: &body}, ch.ReleaseByRef(channeltest.Ref(fmt.Sprint("body ", n), 2<<20)), ch.Head(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	lean := 0
	for _, q := range []string{
		"flac", "flac w0", "flac w1", "flac w2", "flac w3", "w2 flac w1", "flac w2 x1", "flac w3 x0 w1", "flac alone", "alone flac w1", "flac nothing",
		"flac w", "flac fl", `flac "w1 w2"`, "flac w2 week", "flac a", "x0 w3 flac",
	} {
		for _, f := range []Search{{Query: q, Limit: MaxHits}, {Query: q, Type: "audio"}, {Query: q, Channel: ch.ID}, {Query: q, MinSize: 1000}} {
			got, err := c.Search(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			f.plain = true
			want, err := c.Search(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: %d hits, more %v; looked up: %d, %v", f, len(got.Hits), got.More, len(want.Hits), want.More)
			}
			lean += len(got.Hits)
		}
	}
	if lean == 0 {
		t.Fatal("nothing was found: the test compares nothing with nothing")
	}
	// The test is about something: the word is dense here, and "alone" is not.
	parsed, err := (&Search{Query: "flac alone"}).validate()
	if err != nil {
		t.Fatal(err)
	}
	r := newRanking(parsed)
	if err := c.view(t.Context(), "looking at a query", func(s *session) error { return r.weigh(s, parsed) }); err != nil {
		t.Fatal(err)
	}
	if q := r.queries[inEntries]; q.lean == "" || len(q.dense) != 1 || q.dense[0] != "flac" {
		t.Errorf("the query of entries is %+v", q)
	}
}
