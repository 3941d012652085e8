//go:build large

package main

import (
	"database/sql"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Podcast clients that people use, gPodder and Newsboat, take the feed that a
// subscriber has made: each episode once and with its bytes, and after an edit too.
// Without one of them its part is left out.
func TestPodcastClientsTakeTheFeedAtFullSize(t *testing.T) {
	dir := t.TempDir()
	s := newFeedServer(t, 20)
	owner, reader, out := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "out")
	for _, home := range []string{owner, reader} {
		ok(t, home, "plugin-install", "bundled:podcast", "--grant", "publish,network", "--partial", "--enable")
	}
	ok(t, owner, "source-add", "podcast", "radio/talk", s.URL+"/feed")
	daemon := start(t, owner, "daemon")
	addr := daemon.addr()
	polled(t, daemon, patience)
	var show struct{ Address string }
	if err := json.Unmarshal([]byte(ok(t, owner, "channel-show", "radio/talk", "--json")), &show); err != nil {
		t.Fatal(err)
	}
	subscribe := func() { ok(t, reader, "channel-subscribe", show.Address, "-o", out, "--peer", addr, "--once") }
	subscribe()
	web := httptest.NewServer(http.FileServer(http.Dir(out)))
	defer web.Close()
	ok(t, reader, "document-add", "podcast", show.Address, "-o", filepath.Join(out, "feed.xml"), "--base-url", web.URL)

	clients := podcastClients(t, dir, web.URL+"/feed.xml")
	if len(clients) == 0 {
		t.Skip("neither gPodder nor Newsboat is installed")
	}
	for _, c := range clients {
		c.takes(t, s)
	}
	s.change(func(list []episode) []episode {
		list[1].title = "Edited"
		list = append(list[:3], list[4:]...)
		return append([]episode{{21, "The newest"}}, list...)
	})
	ok(t, owner, "source-poll")
	subscribe()
	ok(t, reader, "document-render")
	for _, c := range clients {
		c.takes(t, s)
	}
}

// podcastClient is a program that has subscribed to a feed.
type podcastClient interface {
	// takes has it read the feed again, and looks for what s has.
	takes(t *testing.T, s *feedServer)
}

// podcastClients are those that are installed.
func podcastClients(t *testing.T, dir, feed string) (out []podcastClient) {
	home := func(name string) string {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("%s is not installed", name)
			return ""
		}
		home := filepath.Join(dir, name)
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		return home
	}
	if home := home("gpo"); home != "" {
		g := gPodder{home, feed}
		g.run(t, "subscribe", feed)
		out = append(out, g)
	}
	if home := home("newsboat"); home != "" {
		if err := os.WriteFile(filepath.Join(home, "urls"), []byte(feed+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, newsboat{home})
	}
	return out
}

// gPodder is driven by its command line.
type gPodder struct{ home, feed string }

func (g gPodder) run(t *testing.T, args ...string) string {
	t.Helper()
	return runClient(t, g.home, exec.Command("gpo", append([]string{"--quiet"}, args...)...))
}

func (g gPodder) takes(t *testing.T, s *feedServer) {
	t.Helper()
	g.run(t, "update")
	g.run(t, "download", g.feed)
	list := g.run(t, "episodes", "--guid", g.feed)
	for _, e := range s.episodes {
		if strings.Count(list, s.guid(e)+" ") != 1 || strings.Count(list, e.title+"\n") != 1 {
			t.Errorf("gPodder does not have %q as %s, once:\n%s", e.title, s.guid(e), list)
		}
	}
	files := map[string]int{}
	err := filepath.WalkDir(g.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".mp3" {
			return err
		}
		text, err := os.ReadFile(path)
		files[string(text)]++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.episodes {
		if n := files[s.audio(e.file())]; n != 1 {
			t.Errorf("gPodder has the bytes of %s %d times", e.file(), n)
		}
	}
}

// newsboat is driven without its screen.
type newsboat struct{ home string }

func (n newsboat) takes(t *testing.T, s *feedServer) {
	t.Helper()
	cache := filepath.Join(n.home, "cache.db")
	runClient(t, n.home, exec.Command("newsboat", "-C", os.DevNull, "-u", filepath.Join(n.home, "urls"), "-c", cache, "-x", "reload"))
	db, err := sql.Open("sqlite", cache)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, e := range s.episodes {
		var titles int
		var kind string
		err := db.QueryRow("SELECT count(*), max(enclosure_type) FROM rss_item WHERE guid = ? AND title = ? AND pubDate = ?",
			s.guid(e), e.title, e.date().Unix()).Scan(&titles, &kind)
		if err != nil || titles != 1 || kind != "audio/mpeg" {
			t.Errorf("Newsboat has %q, %s, %d times, of type %q: %v", e.title, s.guid(e), titles, kind, err)
		}
	}
}

// runClient runs a program that is at home in a folder and uses no proxy.
func runClient(t *testing.T, home string, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Env = append(os.Environ(), "HOME="+home, "GPODDER_HOME="+home, "PAGER=cat", "NO_PROXY=*", "no_proxy=*")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
	return string(text)
}
