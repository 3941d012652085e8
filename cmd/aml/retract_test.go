package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown is what channel-show tells of a channel's files.
type shown struct {
	Files []struct {
		Name string `json:"name"`
		Root struct {
			ID string `json:"id"`
		} `json:"root"`
	} `json:"files"`
	Removed []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"removed"`
}

func show1(t *testing.T, home, target string) (s shown) {
	t.Helper()
	if err := json.Unmarshal([]byte(ok(t, home, "channel-show", target, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// root is the id of the root blob of a file.
func (s shown) root(t *testing.T, name string) string {
	t.Helper()
	for _, f := range s.Files {
		if f.Name == name {
			return f.Root.ID
		}
	}
	t.Fatalf("%s is not in the channel: %+v", name, s)
	return ""
}

// served is a node that serves blobs by HTTP.
type served struct {
	*program
	peer, url string
}

func startServing(t *testing.T, home string, args ...string) served {
	t.Helper()
	p := start(t, home, append(args, "--set", "http=127.0.0.1:0")...)
	var l struct {
		Addrs []string `json:"addrs"`
		URLs  []string `json:"urls"`
	}
	p.wait("listening").decode(t, &l)
	if len(l.Addrs) == 0 || len(l.URLs) != 1 {
		t.Fatalf("listening: %+v", l)
	}
	return served{p, l.Addrs[0], l.URLs[0]}
}

func (s served) status(blob string) int {
	s.t.Helper()
	res, err := http.Get(s.url + "blobs/" + blob)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// serves waits until a blob is served, or is not.
func (s served) serves(blob string, want int) {
	s.t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for s.status(blob) != want {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%s answers %d for blob %s, want %d\n%s", s.url, s.status(blob), blob, want, s.stderr)
		}
	}
}

func TestWhatIsRetractedGoesFromEveryFollowerAndNobodyFetchesItAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pub, follower, late := filepath.Join(dir, "pub"), filepath.Join(dir, "follower"), filepath.Join(dir, "late")
	noise(t, filepath.Join(dir, "in", "bad"), 3<<20, 1)
	noise(t, filepath.Join(dir, "in", "good"), 2<<20, 2)
	address := publish(t, pub, "t", filepath.Join(dir, "in"))
	before := show1(t, pub, address)
	bad, good := before.root(t, "bad"), before.root(t, "good")
	publisher := startServing(t, pub, "daemon")
	reader := startServing(t, follower, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", publisher.peer)
	reader.wait("file")
	reader.wait("file")
	reader.serves(bad, http.StatusOK)

	ok(t, pub, "channel-retract", address, "bad", "--reason", "wrong cut")
	if got := publisher.status(bad); got != http.StatusNotFound {
		t.Errorf("the publisher answers %d", got)
	}
	var gone struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	}
	if reader.wait("removed").decode(t, &gone); gone.Name != "bad" || gone.Reason != "wrong cut" {
		t.Errorf("told of %+v", gone)
	}
	reader.serves(bad, http.StatusNotFound)
	if got := reader.status(good); got != http.StatusOK {
		t.Errorf("of another file the follower answers %d", got)
	}
	if err := os.Remove(filepath.Join(dir, "in", "bad")); err != nil {
		t.Fatal(err)
	}
	sameTree(t, filepath.Join(dir, "out"), filepath.Join(dir, "in"))

	// The publisher is gone: the follower has the header, and what it says.
	publisher.kill()
	out := ok(t, late, "channel-subscribe", address, "-o", filepath.Join(dir, "late out"), "--once", "--json", "--peer", reader.peer)
	if strings.Contains(out, `"event":"file","channel":"`) && strings.Contains(out, `"name":"bad"`) {
		t.Errorf("a late joiner was told:\n%s", out)
	}
	sameTree(t, filepath.Join(dir, "late out"), filepath.Join(dir, "in"))
	if s := show1(t, late, address); len(s.Removed) != 1 || s.Removed[0].Name != "bad" || s.Removed[0].Reason != "wrong cut" {
		t.Errorf("a late joiner is shown %+v", s)
	}
}

func TestABlindMirrorLetsGoOfARetractedReleaseAndServesItsHeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pub, blind, late := filepath.Join(dir, "pub"), filepath.Join(dir, "blind"), filepath.Join(dir, "late")
	noise(t, filepath.Join(dir, "1", "bad"), 3<<20, 1)
	noise(t, filepath.Join(dir, "2", "good"), 2<<20, 2)
	var made struct {
		Address     string `json:"address"`
		ReadAddress string `json:"readAddress"`
	}
	if err := json.Unmarshal([]byte(ok(t, pub, "channel-create", "t", "--private", "--read-key", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	publish(t, pub, "t", filepath.Join(dir, "1"))
	publish(t, pub, "t", filepath.Join(dir, "2"))
	before := show1(t, pub, made.Address)
	bad, good := before.root(t, "bad"), before.root(t, "good")
	publisher := startServing(t, pub, "daemon")
	mirror := startServing(t, blind, "channel-subscribe", made.Address, "-o", filepath.Join(dir, "none"), "--peer", publisher.peer)
	mirror.wait("mirrored")
	mirror.wait("mirrored")
	mirror.serves(bad, http.StatusOK)

	ok(t, pub, "channel-retract", made.Address, "--release", "1", "--reason", "wrong cut")
	mirror.serves(bad, http.StatusNotFound)
	if got := mirror.status(good); got != http.StatusOK {
		t.Errorf("of a live release the mirror answers %d", got)
	}
	publisher.kill()
	ok(t, late, "channel-subscribe", made.ReadAddress, "-o", filepath.Join(dir, "late out"), "--once", "--peer", mirror.peer)
	sameTree(t, filepath.Join(dir, "late out"), filepath.Join(dir, "2"))
	if s := show1(t, late, made.Address); len(s.Removed) != 1 || s.Removed[0].Reason != "wrong cut" {
		t.Errorf("a late joiner is shown %+v", s)
	}
}

// A retraction is killed at any moment: all of it stands, or nothing, and what it
// took back is gone once a node runs again.
func TestARetractionThatIsKilledStandsAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pub := filepath.Join(dir, "pub")
	for i := range 20 {
		noise(t, filepath.Join(dir, "in", fmt.Sprintf("f%02d", i)), 5000, uint64(i))
	}
	address := publish(t, pub, "t", filepath.Join(dir, "in"))
	before := show1(t, pub, address)
	done := false
	for round := 0; !done; round++ {
		cmd := command(t.Context(), pub, "channel-retract", address, "f*", "--reason", "r")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(20+40*round)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		s := show1(t, pub, address)
		switch {
		case len(s.Files) == 20 && len(s.Removed) == 0:
		case len(s.Files) == 0 && len(s.Removed) == 20:
			done = true
		default:
			t.Fatalf("round %d: %d files are there, %d removed", round, len(s.Files), len(s.Removed))
		}
	}
	again := startServing(t, pub, "daemon")
	for _, f := range before.Files {
		again.serves(f.Root.ID, http.StatusNotFound)
	}
}

// Age needs no publication: a daemon removes what has become too old, and lets go of it.
// Rules that have just been given delete nothing by themselves.
func TestADaemonRemovesWhatHasBecomeTooOld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pub := filepath.Join(dir, "pub")
	noise(t, filepath.Join(dir, "1", "old"), 5000, 1)
	noise(t, filepath.Join(dir, "2", "new"), 5000, 2)
	daemon := startServing(t, pub, "daemon")
	address := publish(t, pub, "t", filepath.Join(dir, "1"))
	root := show1(t, pub, address).root(t, "old")
	ok(t, pub, "channel-retain", address, "--keep", "age=1s")
	publish(t, pub, "t", filepath.Join(dir, "2")) // with which old goes, if it is too old already
	daemon.serves(root, http.StatusNotFound)
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		s := show1(t, pub, address)
		if len(s.Files) == 0 && len(s.Removed) == 2 && s.Removed[0].Reason == "retention: age 1s" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in the channel: %+v", s)
		}
	}
}
