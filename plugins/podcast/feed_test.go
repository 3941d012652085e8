package podcast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mmcdole/gofeed"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// odd has what real feeds have.
const odd = `<?xml version="1.0" encoding="ISO-8859-1"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel>
 <title>K` + "\xfc" + `nste &amp; mehr</title><link>/home</link><description><![CDATA[<p>All about <b>art</b></p>]]></description>
 <language>de</language><itunes:author>A. Uthor</itunes:author><itunes:explicit>yes</itunes:explicit>
 <itunes:category text="Arts"><itunes:category text="Design"/></itunes:category><itunes:image href="cover.png"/>
 <item><title><![CDATA[The <newest> & "best"]]></title><guid isPermaLink="false">  ep-5 </guid><pubDate>Tue, 02 Jun 2020 10:00:00 +0000</pubDate>
  <description><![CDATA[Notes<br/>here]]></description><enclosure url="audio/five.mp3?x=1#t" length="5" type="audio/mpeg"/><itunes:duration>1:02:03</itunes:duration>
  <itunes:season>2</itunes:season><itunes:episode>5</itunes:episode><itunes:image href="five.jpg"/><podcast:chapters url="five.json" type="application/json+chapters"/></item>
 <item><title>No guid at all</title><pubDate>Mon, 99 Foo 2020</pubDate><enclosure url="audio/four.m4a" length="" type="audio/x-m4a"/></item>
 <item><title>A wrong weekday</title><guid>ep-3</guid><pubDate>Mon, 3 Mar 2020 08:00 +0100</pubDate><enclosure url="/audio/a b.ogg" length="not a number" type=""/></item>
 <item><title>The same guid</title><guid>ep-3</guid><pubDate>Sun, 01 Mar 2020 08:00:00 GMT</pubDate><enclosure url="audio/three.mp3" length="3" type="audio/mpeg"/></item>
 <item><title>A text</title><guid>text</guid><link>https://example.org/text</link></item>
 <item><title>A picture</title><guid>pic</guid><enclosure url="p.jpg" length="1" type="image/jpeg"/></item>
 <item><title>Elsewhere</title><guid>ftp</guid><enclosure url="ftp://example.org/x.mp3" length="1" type="audio/mpeg"/></item>
 <item><title>A file</title><guid>file</guid><enclosure url="file:///etc/passwd" length="1" type="audio/mpeg"/></item>
 <item><title></title><guid>ep-1</guid><pubDate>Wed, 01 Jan 2020 08:00:00 EST</pubDate><enclosure url="audio/one.mp3" length="1" type="audio/mpeg"/><itunes:subtitle>Only a subtitle</itunes:subtitle></item>
</channel></rss>`

func configured(t *testing.T, config map[string]string) *podcast {
	t.Helper()
	all := map[string]string{"removals": "follow", "newest": "0"}
	for k, v := range config {
		all[k] = v
	}
	p := New().Source.(*podcast)
	if err := p.configure(context.Background(), sdk.Setup{Config: all, State: t.TempDir(), Has: func(plugins.Capability) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	return p
}

// poll returns what comes, and the cursor after it.
func poll(t *testing.T, p *podcast, from string, cursor []byte) ([]*sdk.Item, []byte) {
	t.Helper()
	var items []*sdk.Item
	err := p.Poll(context.Background(), from, cursor, func(item *sdk.Item, after []byte) error {
		if item != nil {
			items = append(items, item)
		}
		cursor = after
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items, cursor
}

// server serves a text that may change, and files whose bytes are their paths.
func server(t *testing.T, text func() string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/old.xml":
			http.Redirect(w, r, "/show/feed.xml", http.StatusMovedPermanently)
		case r.URL.Path == "/show/feed.xml":
			etag := `"` + hash(text(), 8) + `"`
			w.Header().Set("ETag", etag)
			if r.Header.Get("If-None-Match") == etag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, text())
		case strings.HasPrefix(r.URL.Path, "/loop"):
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case r.URL.Path == "/page":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>gone")
		case r.URL.Path == "/missing":
			http.NotFound(w, r)
		default:
			http.ServeContent(w, r, "x.bin", time.Time{}, strings.NewReader("bytes of "+r.URL.Path))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAFeedWithOdditiesIsReadAsAPersonWouldReadIt(t *testing.T) {
	s := server(t, func() string { return odd })
	p := configured(t, nil)
	from := s.URL + "/old.xml"
	items, cursor := poll(t, p, from, nil)
	type want struct{ id, title, date, name, url string }
	base := s.URL + "/show/"
	wants := []want{
		{aboutID, "Künste & mehr", "", "podcast-" + hash(from, 6) + ".json", ""},
		{base + "audio/four.m4a", "No guid at all", "", "no-guid-at-all-" + hash(base+"audio/four.m4a", 8) + ".m4a", base + "audio/four.m4a"},
		{"ep-1", "Only a subtitle", "2020-01-01", "2020-01-01-only-a-subtitle-" + hash("ep-1", 8) + ".mp3", base + "audio/one.mp3"},
		{"ep-3", "The same guid", "2020-03-01", "2020-03-01-the-same-guid-" + hash("ep-3", 8) + ".mp3", base + "audio/three.mp3"},
		{"ep-3#" + hash(s.URL+"/audio/a%20b.ogg", 8), "A wrong weekday", "2020-03-03", "", s.URL + "/audio/a%20b.ogg"},
		{"ep-5", `The <newest> & "best"`, "2020-06-02", "2020-06-02-the-newest-best-" + hash("ep-5", 8) + ".mp3", base + "audio/five.mp3?x=1"},
	}
	if len(items) != len(wants) {
		t.Fatalf("%d items, want %d: %v", len(items), len(wants), items)
	}
	for i, w := range wants {
		it := items[i]
		date := ""
		if it.Date != 0 {
			date = time.Unix(it.Date, 0).UTC().Format(time.DateOnly)
		}
		if it.Id != w.id || it.Title != w.title || date != w.date || w.name != "" && it.Files[0].Name != w.name || !strings.Contains(it.Files[0].Handle, strings.ReplaceAll(w.url, "&", `\u0026`)) {
			t.Errorf("item %d: %v\nwant %+v", i, it, w)
		}
	}
	about, five := items[0], items[5]
	if about.Description != "<p>All about <b>art</b></p>" || about.Metadata["author"] != "A. Uthor" || about.Metadata["categories"] != "Arts/Design" || len(about.Files) != 2 {
		t.Errorf("the podcast: %v", about)
	}
	if five.Description != "Notes<br/>here" || five.Metadata["duration"] != "1:02:03" || five.Metadata["season"] != "2" || len(five.Files) != 3 || !five.Files[2].Optional {
		t.Errorf("the newest: %v", five)
	}
	if again, _ := poll(t, p, from, cursor); len(again) != 0 {
		t.Errorf("a feed that did not change has %v", again)
	}
	if again, _ := poll(t, p, from, nil); len(again) != len(items) || again[5].Version != five.Version {
		t.Errorf("from the beginning: %v", again)
	}
	for at := range int64(3) {
		r, err := p.Open(context.Background(), five.Files[0].Handle, at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if want := "bytes of /show/audio/five.mp3"[at:]; err != nil || string(got) != want || r.Close() != nil {
			t.Errorf("from %d on: %q, %v", at, got, err)
		}
	}
}

func TestEditsAndRemovalsOfAFeedFollowAndWhatFallsOutOfItStays(t *testing.T) {
	item := func(id, title string, day int) string {
		return fmt.Sprintf(`<item><title>%s</title><guid>%s</guid><pubDate>%d Jan 2020 08:00:00 +0000</pubDate><enclosure url="%s.mp3" length="1" type="audio/mpeg"/></item>`, title, id, day, id)
	}
	feed := func(items ...string) string {
		return `<rss version="2.0"><channel><title>T</title>` + strings.Join(items, "") + `</channel></rss>`
	}
	text := feed(item("c", "C", 3), item("b", "B", 2), item("a", "A", 1))
	s := server(t, func() string { return text })
	p := configured(t, nil)
	from := s.URL + "/show/feed.xml"
	first, cursor := poll(t, p, from, nil)
	text = feed(item("d", "D", 4), item("c", "C edited", 3), item("a", "A", 1))
	second, cursor := poll(t, p, from, cursor)
	byID := func(items []*sdk.Item) map[string]*sdk.Item {
		out := map[string]*sdk.Item{}
		for _, it := range items {
			out[it.Id] = it
		}
		return out
	}
	was, is := byID(first), byID(second)
	if is["c"].Version == was["c"].Version || is["c"].Files[0].Name != was["c"].Files[0].Name {
		t.Errorf("the edit: %v", is["c"])
	}
	if is["b"] == nil || !is["b"].Removed || is["a"].Version != was["a"].Version || is["d"] == nil {
		t.Errorf("after a removal: %v", second)
	}
	text = feed(item("d", "D", 4), item("c", "C edited", 3)) // a is too old for it
	third, cursor := poll(t, p, from, cursor)
	if got := byID(third); got["a"] != nil || !got["b"].Removed { // it is said again: the host may not have heard
		t.Errorf("after one fell out: %v", third)
	}
	// A server that answers with an empty feed, or none, removes nothing.
	for _, broken := range []string{feed(), "<html>", "", "{}"} {
		text = broken
		if err := p.Poll(context.Background(), from, cursor, func(*sdk.Item, []byte) error { return errors.New("an item") }); err == nil || err.Error() == "an item" {
			t.Errorf("%q: %v", broken, err)
		}
	}
	if keep := configured(t, map[string]string{"removals": "keep", "newest": "1"}); true {
		text = feed(item("c", "C", 3), item("b", "B", 2), item("a", "A", 1))
		got, cursor := poll(t, keep, from, nil)
		if len(got) != 2 || got[1].Id != "c" {
			t.Errorf("the newest: %v", got)
		}
		text = feed(item("d", "D", 3), item("a", "A", 1))
		if got, _ = poll(t, keep, from, cursor); len(got) != 2 || got[1].Id != "d" {
			t.Errorf("with removals=keep: %v", got)
		}
	}
}

func TestAFeedCannotLeadToWhatOnlyThisMachineReaches(t *testing.T) {
	s := server(t, func() string { return odd })
	p, from := configured(t, nil), s.URL+"/show/feed.xml"
	open := func(from, to, kind string) error {
		r, err := p.Open(context.Background(), handle{From: from, URL: to, Kind: kind}.String(), 0)
		if err == nil {
			r.Close()
		}
		return err
	}
	if err := open("https://example.org/feed.xml", s.URL+"/show/x.mp3", ""); err == nil || !strings.Contains(err.Error(), "private address") {
		t.Errorf("a private address: %v", err)
	}
	if err := open(from, s.URL+"/show/x.mp3", ""); err == nil || !strings.Contains(err.Error(), "private address") {
		t.Errorf("before it is known where the feed is: %v", err)
	}
	poll(t, p, from, nil)
	if err := open(from, s.URL+"/show/x.mp3", ""); err != nil {
		t.Errorf("the feed's own host: %v", err)
	}
	for to, want := range map[string]string{
		s.URL + "/loop": "redirects", s.URL + "/away": "http or https", "file:///etc/passwd": "http or https", s.URL + "/missing": "404",
		strings.Replace(s.URL, "//", "//user:secret@", 1): "password", "": "http or https", s.URL + "/page": "web page",
	} {
		if err := open(from, to, "audio"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %s", to, err, want)
		}
	}
}

// What the name of a feed's host stands for is the host's to say, and may change between
// the feed and its files.
func TestAFeedCannotMoveToAnotherAddress(t *testing.T) {
	internet, other, here, lan := netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.2")
	of := func() *reach {
		r, err := configured(t, nil).reachOf("http://example.org/feed")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := of(); !r.mayRead(internet) || r.mayRead(here) || r.mayFetch(here) || !r.mayFetch(other) || !r.mayRead(other) {
		t.Error("a feed on the Internet leads to this machine")
	}
	if r := of(); !r.mayRead(lan) || r.mayFetch(here) || !r.mayFetch(lan) || !r.mayFetch(internet) {
		t.Error("a feed on the LAN leads to this machine, or not to itself")
	}
	r := of()
	if r.wasPublic(); r.mayRead(here) || r.mayFetch(here) {
		t.Error("a feed that was on the Internet is read from this machine")
	}
	// The cursor says it, also to the process after this one.
	s := server(t, func() string { return odd })
	p := configured(t, nil)
	if err := p.Poll(t.Context(), s.URL, []byte(`{"sum":"x","public":true}`), func(*sdk.Item, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "private address") {
		t.Errorf("the feed has moved here: %v", err)
	}
}

// released makes releases of items, as a channel has them: newest first.
func released(items []*sdk.Item) []*sdk.Release {
	var out []*sdk.Release
	for i, it := range items {
		r := &sdk.Release{Channel: "abc", Title: it.Title, Description: it.Description, Metadata: it.Metadata, Issued: int64(1700000000 + i)}
		for n, f := range it.Files {
			r.Entries = append(r.Entries, &sdk.Entry{Name: f.Name, Size: uint64(100 + i), MediaType: mediaOf(f.Name), Attrs: f.Attrs, Sha256: bytes.Repeat([]byte{byte(i), byte(n)}, 16)})
		}
		out = append([]*sdk.Release{r}, out...)
	}
	return out
}

func rendered(t *testing.T, releases []*sdk.Release, base string) *gofeed.Feed {
	t.Helper()
	var b bytes.Buffer
	media, err := render(context.Background(), &sdk.RenderStart{Channel: "abc", Title: "Root title", Kind: pluginv1.Kind_KIND_MEDIA, Format: "rss", BaseUrl: base}, func(yield func(*sdk.Release, error) bool) {
		for _, r := range releases {
			if !yield(r, nil) {
				return
			}
		}
	}, &b)
	if err != nil || media != "application/rss+xml" {
		t.Fatalf("%q, %v", media, err)
	}
	feed, err := gofeed.NewParser().ParseString(b.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return feed
}

func TestWhatWasReadIsWrittenAsAFeedWithTheSameEpisodes(t *testing.T) {
	s := server(t, func() string { return odd })
	items, _ := poll(t, configured(t, nil), s.URL+"/show/feed.xml", nil)
	feed := rendered(t, released(items), "https://mirror.example/a%20b/")
	if feed.Title != "Künste & mehr" || feed.Description != "<p>All about <b>art</b></p>" || feed.ITunesExt.Explicit != "true" || feed.ITunesExt.Categories[0].Subcategory.Text != "Design" || len(feed.Items) != 5 {
		t.Errorf("got %v", feed)
	}
	byGUID := map[string]*gofeed.Item{}
	for _, it := range feed.Items {
		byGUID[it.GUID] = it
	}
	five := byGUID["ep-5"]
	if five == nil || five.Title != `The <newest> & "best"` || five.PublishedParsed.Unix() != 1591092000 || five.ITunesExt.Duration != "1:02:03" || five.ITunesExt.Season != "2" || five.Enclosures[0].Type != "audio/mpeg" || five.Enclosures[0].Length != "105" {
		t.Fatalf("got %v", five)
	}
	u, err := url.Parse(five.Enclosures[0].URL)
	if err != nil || !strings.HasPrefix(five.Enclosures[0].URL, "https://mirror.example/a%20b/2020-06-02-the-newest-best-") {
		t.Errorf("its file is at %v, %v", u, err)
	}
	if c := one(five.Extensions, "podcast", "chapters"); !strings.HasSuffix(c.Attrs["url"], ".chapters.json") {
		t.Errorf("chapters: %v", c)
	}
	// One that had no date has that of its release, as clients need one.
	if feed.Items[0].Title != "No guid at all" || feed.Items[1] != five {
		t.Errorf("the newest does not come first: %v", feed.Items[:2])
	}
}

func TestAChannelThatNoFeedFilledIsAFeedToo(t *testing.T) {
	feed := rendered(t, []*sdk.Release{{Title: "Live in Bern", Issued: 1700000000, Entries: []*sdk.Entry{
		{Name: "disc 1/one.flac", MediaType: "audio/flac", Size: 7, Sha256: bytes.Repeat([]byte{1}, 32)},
		{Name: "two.mp3", Size: 8, Sha256: bytes.Repeat([]byte{2}, 32), Attrs: map[string]string{"title": "The second"}},
		{Name: "notes.txt", MediaType: "text/plain"},
	}}}, "")
	if feed.Title != "Root title" || len(feed.Items) != 2 || feed.Items[0].Title != "disc 1/one.flac" || feed.Items[1].Title != "The second" || feed.Items[0].GUID == feed.Items[1].GUID {
		t.Errorf("got %v", feed)
	}
	if got := feed.Items[0].Enclosures[0].URL; got != "aml://abc/disc%201/one.flac" {
		t.Errorf("its file is at %q", got)
	}
	if got := nameUUID("aml://abc"); len(got) != 36 || got[14] != '5' {
		t.Errorf("its guid is %q", got)
	}
}

func FuzzAnyFeedIsReadOrRefused(f *testing.F) {
	f.Add([]byte(odd))
	f.Add([]byte(`<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><entry><id>x</id><link rel="enclosure" href="a.mp3" type="audio/mpeg"/></entry></feed>`))
	f.Add([]byte(`{"version":"https://jsonfeed.org/version/1.1","title":"J","items":[{"id":"1","attachments":[{"url":"a.mp3","mime_type":"audio/mpeg"}]}]}`))
	base, _ := url.Parse("http://127.0.0.1/feed.xml")
	f.Fuzz(func(t *testing.T, text []byte) {
		p := &podcast{now: time.Now, state: t.TempDir()}
		things, err := p.parse("http://127.0.0.1/feed.xml", base, text)
		ids := map[string]bool{}
		for _, one := range things {
			if err != nil || ids[one.id] || one.id == "" || len(one.files) == 0 {
				t.Errorf("%v %v", one, err)
			}
			ids[one.id] = true
			one.item()
		}
	})
}

func TestAReaderThatTakesItsTimeSaysThatItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := 0
		items, after, err := breathing(context.Background(), func() error { said++; return nil }, func(context.Context) ([]thing, []byte, error) {
			time.Sleep(3*breath + 1) // of the fake clock
			return []thing{{id: "x"}}, []byte("after"), nil
		})
		if err != nil || len(items) != 1 || string(after) != "after" || said != 3 {
			t.Errorf("%v %s %v, said %d times", items, after, err, said)
		}
		stop := make(chan struct{})
		defer close(stop)
		if _, _, err := breathing(context.Background(), func() error { return nil }, func(context.Context) ([]thing, []byte, error) {
			<-stop // it hears nothing
			return nil, nil, nil
		}); err == nil || !strings.Contains(err.Error(), "within 10m") {
			t.Errorf("a reader that does not end: %v", err)
		}
		gone := errors.New("gone")
		if _, _, err := breathing(context.Background(), func() error { return gone }, func(ctx context.Context) ([]thing, []byte, error) {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatStandsBehindTheQuestionMarkIsSaidNowhere(t *testing.T) {
	secret := "token=hidden"
	text := `<rss version="2.0"><channel><title>T</title><link>/x?` + secret + `</link><item><title>A</title><link>/y?` + secret + `</link><enclosure url="/a.mp3?` + secret + `" length="1" type="audio/mpeg"/></item></channel></rss>`
	s := server(t, func() string { return text })
	p := configured(t, nil)
	items, _ := poll(t, p, s.URL+"/show/feed.xml?"+secret, nil)
	for _, it := range items {
		if shown := fmt.Sprint(it.Id, it.Title, it.Description, it.Metadata, it.Files[0].Name, it.Files[0].Attrs); strings.Contains(shown, "hidden") {
			t.Errorf("%s", shown)
		}
	}
	for _, to := range []string{"/missing", "/loop", "/away", "/page"} {
		_, err := p.Open(context.Background(), handle{From: s.URL, URL: s.URL + to + "?" + secret, Kind: "audio"}.String(), 0)
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", to, err)
		}
	}
	s.Close()
	if err := p.Poll(context.Background(), s.URL+"/show/feed.xml?"+secret, nil, nil); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a server that is away: %v", err)
	}
}
