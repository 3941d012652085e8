package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mmcdole/gofeed"
)

// feedServer is a podcast's server, with what real ones have: a moved feed, items
// without guid, wrong dates, relative and moved files.
type feedServer struct {
	*httptest.Server

	mu       sync.Mutex
	episodes []episode // the newest first
	asked    map[string]int
	block    string        // this file's bytes stop in the middle
	blocked  chan struct{} // closed when they have
}

type episode struct {
	n     int
	title string
}

func newFeedServer(t *testing.T, n int) *feedServer {
	t.Helper()
	s := &feedServer{asked: map[string]int{}, blocked: make(chan struct{})}
	for i := n; i > 0; i-- {
		s.episodes = append(s.episodes, episode{i, fmt.Sprintf("Episode %d & <more>", i)})
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.CloseClientConnections)
	t.Cleanup(s.Server.Close)
	return s
}

// audio is a file's content.
func (s *feedServer) audio(name string) string {
	return "ID3\x04 " + name + strings.Repeat(" la la", 500)
}

// file is where an episode's file is.
func (e episode) file() string { return fmt.Sprintf("e%d.mp3", e.n) }

// guid is what an episode's guid has to be: every fifth has none.
func (s *feedServer) guid(e episode) string {
	if e.n%5 == 0 {
		return s.URL + "/feeds/" + e.file()
	}
	return fmt.Sprintf("tag:example.org,2020:%d", e.n)
}

func (e episode) date() time.Time {
	return time.Date(2015, 1, 1, 6, 0, 0, 0, time.UTC).AddDate(0, 0, e.n)
}

func (s *feedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := path.Base(r.URL.Path)
	s.asked[name]++
	switch {
	case r.URL.Path == "/feed":
		http.Redirect(w, r, "/feeds/talk.xml", http.StatusMovedPermanently)
	case name == "talk.xml":
		_, _ = io.WriteString(w, s.text())
	case strings.HasPrefix(r.URL.Path, "/feeds/") && name != s.block && len(name)%2 == 0:
		http.Redirect(w, r, "/cdn/"+name, http.StatusFound)
	case name == s.block:
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, "ID3")
		_ = http.NewResponseController(w).Flush()
		close(s.blocked)
		s.block = ""
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
	case strings.HasSuffix(name, ".mp3"):
		_, _ = io.WriteString(w, s.audio(name))
	default:
		http.NotFound(w, r)
	}
}

func (s *feedServer) text() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"><channel><title><![CDATA[Talk & "more"]]></title><link>/</link><description>T</description>` + "\n")
	for _, e := range s.episodes {
		guid, date := "", e.date().Format(time.RFC1123Z)
		if e.n%5 != 0 {
			guid = fmt.Sprintf("<guid isPermaLink=\"false\"> %s\n</guid>", s.guid(e))
		}
		if e.n%7 == 0 { // it is another day of the week
			date = strings.Replace(date, date[:3], "Foo", 1)
		}
		fmt.Fprintf(&b, "<item><title><![CDATA[%s]]></title>%s<pubDate>%s</pubDate><description><![CDATA[<p>%d</p>]]></description><itunes:duration>%d:00</itunes:duration><enclosure url=\"%s\" length=\"0\" type=\"audio/mpeg\"/></item>\n",
			e.title, guid, date, e.n, e.n%60, e.file())
	}
	return b.String() + `</channel></rss>`
}

// change changes the feed.
func (s *feedServer) change(fn func([]episode) []episode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.episodes = fn(s.episodes)
}

// times is how often a file was asked for.
func (s *feedServer) times(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

// polled waits for the end of a poll.
func polled(t *testing.T, p *program, longest time.Duration) (res struct{ Published, Changed, Removed, Same, Failed int }) {
	t.Helper()
	timeout := time.After(longest)
	for {
		select {
		case e, open := <-p.events:
			if !open {
				t.Fatalf("aml ended\n%s", p.stderr)
			}
			if e.name != "source" {
				continue
			}
			var said struct {
				Error  string
				Result json.RawMessage
			}
			e.decode(t, &said)
			if err := json.Unmarshal(said.Result, &res); err != nil || said.Error != "" {
				t.Fatalf("a poll failed: %s, %v", e.raw, err)
			}
			return res
		case <-timeout:
			t.Fatalf("no poll has ended\n%s", p.stderr)
		}
	}
}

// A feed with oddities is published, each episode once though the daemon is killed
// in the middle; a subscriber has the same bytes, and makes a feed of it with the
// same episodes. Edits and removals follow.
func podcastRoundTrip(t *testing.T, episodes int, longest time.Duration) {
	dir := t.TempDir()
	s := newFeedServer(t, episodes)
	owner, reader, out := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "out")
	memory := "--memory=4GiB" // enough for a test binary with the race detector in it
	ok(t, owner, "plugin-install", "bundled:podcast", memory, "--grant", "publish,network", "--partial", "--enable")
	ok(t, owner, "source-add", "podcast", "radio/talk", s.URL+"/feed")
	killedAt := episode{n: episodes / 2}
	s.mu.Lock()
	s.block = killedAt.file()
	s.mu.Unlock()
	daemon := start(t, owner, "daemon")
	select {
	case <-s.blocked:
	case <-time.After(longest):
		t.Fatalf("nobody asks for %s\n%s", killedAt.file(), daemon.stderr)
	}
	daemon.kill()
	began := time.Now()
	daemon = start(t, owner, "daemon")
	addr := daemon.addr()
	if res := polled(t, daemon, longest); res.Failed > 0 || res.Same != killedAt.n || res.Published != episodes+1-killedAt.n { // one is about the podcast
		t.Errorf("after the kill: %+v", res)
	}
	t.Logf("%d episodes were published in %v", episodes+1-killedAt.n, time.Since(began).Round(time.Millisecond))
	var show struct {
		Address           string
		Releases, Entries int
	}
	if err := json.Unmarshal([]byte(ok(t, owner, "channel-show", "radio/talk", "--json")), &show); err != nil || show.Releases != episodes+1 || show.Entries != episodes+1 {
		t.Fatalf("the channel has %+v, %v", show, err)
	}
	s.mu.Lock()
	for name, n := range s.asked {
		if strings.HasSuffix(name, ".mp3") && n > 2 && name != killedAt.file() { // 2 is one redirect
			t.Errorf("%s was fetched %d times", name, n)
		}
	}
	s.mu.Unlock()

	subscribe := func() {
		p := start(t, reader, "channel-subscribe", show.Address, "-o", out, "--peer", addr, "--once")
		select {
		case <-p.done:
		case <-time.After(longest):
			t.Fatalf("the subscription does not end\n%s", p.stderr)
		}
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("exit code %d\n%s", code, p.stderr)
		}
	}
	began = time.Now()
	subscribe()
	t.Logf("%d releases were subscribed to in %v", episodes+1, time.Since(began).Round(time.Millisecond))
	ok(t, reader, "plugin-install", "bundled:podcast", memory, "--partial", "--enable")
	document := filepath.Join(out, "feed.xml")
	ok(t, reader, "document-add", "podcast", show.Address, "-o", document, "--base-url", "http://mirror.example/talk")
	same := func() {
		t.Helper()
		text, err := os.Open(document)
		if err != nil {
			t.Fatal(err)
		}
		defer text.Close()
		feed, err := gofeed.NewParser().Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if feed.Title != `Talk & "more"` || len(feed.Items) != len(s.episodes) {
			t.Fatalf("%q has %d episodes, want %d", feed.Title, len(feed.Items), len(s.episodes))
		}
		for i, e := range s.episodes {
			it := feed.Items[i]
			if it.Title != e.title || it.GUID != s.guid(e) || it.PublishedParsed == nil || !it.PublishedParsed.Equal(e.date()) || it.Description != fmt.Sprintf("<p>%d</p>", e.n) || it.ITunesExt.Duration != fmt.Sprintf("%d:00", e.n%60) {
				t.Fatalf("episode %d: %v, want %+v", i, it, e)
			}
			name, ok := strings.CutPrefix(it.Enclosures[0].URL, "http://mirror.example/talk/")
			got, err := os.ReadFile(filepath.Join(out, name))
			if !ok || err != nil || string(got) != s.audio(e.file()) {
				t.Fatalf("episode %d: %s: %v, or other bytes", i, it.Enclosures[0].URL, err)
			}
		}
	}
	same()

	// An edit of a title, a removal, a new one: what did not change is not touched.
	s.change(func(list []episode) []episode {
		list[1].title = "Edited"
		list = append(list[:3], list[4:]...)
		return append([]episode{{episodes + 1, "The newest"}}, list...)
	})
	edited := s.episodes[2].file()
	before := s.times(edited)
	var results []struct {
		Last struct{ Published, Changed, Removed, Same, Failed int }
	}
	if err := json.Unmarshal([]byte(ok(t, owner, "source-poll", "--json")), &results); err != nil || len(results) != 1 {
		t.Fatal(results, err)
	}
	if res := results[0].Last; res.Published != 1 || res.Changed != 1 || res.Removed != 1 || res.Failed != 0 {
		t.Errorf("after the change: %+v", res)
	}
	if s.times(edited) != before {
		t.Errorf("%s was fetched again for its title", edited)
	}
	subscribe()
	ok(t, reader, "document-render")
	same()
	// Nothing comes twice, whoever asks and however often.
	if got := ok(t, owner, "source-poll", "podcast"); !strings.Contains(got, "0 new, 0 changed, 0 removed") {
		t.Errorf("a poll of what did not change: %s", got)
	}
	if got := ok(t, owner, "source-list"); !strings.Contains(got, show.Address) {
		t.Errorf("source-list: %s", got)
	}

	// A document that cannot be made stays as it was.
	was, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	ok(t, reader, "plugin-disable", "podcast")
	fails(t, 4, reader, []string{"document-render"}, "no enabled plugin podcast")
	if now, err := os.ReadFile(document); err != nil || string(now) != string(was) {
		t.Errorf("it did not stay: %v", err)
	}
	if got := ok(t, reader, "document-list"); !strings.Contains(got, "as it was: ") {
		t.Errorf("document-list: %s", got)
	}
}

func TestAPodcastGoesThroughAChannelAndComesOutAsItWas(t *testing.T) {
	t.Parallel()
	podcastRoundTrip(t, 12, patience)
}

// A poll that fails is told, and tried again: it ends nothing.
func TestADaemonOutlivesAPollThatFails(t *testing.T) {
	t.Parallel()
	s := newFeedServer(t, 1)
	home := filepath.Join(t.TempDir(), "p")
	ok(t, home, "plugin-install", "bundled:podcast", "--memory=4GiB", "--grant", "publish,network", "--partial", "--enable")
	ok(t, home, "source-add", "podcast", "radio/talk", s.URL+"/nothing")
	daemon := start(t, home, "daemon")
	for range 2 {
		var said struct{ Error string }
		if daemon.wait("source").decode(t, &said); !strings.Contains(said.Error, "404") {
			t.Errorf("the poll says %q", said.Error)
		}
		fails(t, 1, home, []string{"source-poll"}, "404")
	}
	if got := ok(t, home, "status"); !strings.Contains(got, "404") {
		t.Errorf("status does not say what fails: %s", got)
	}
}
