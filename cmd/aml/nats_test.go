package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// carried waits until a bridge has said that it did something with so many
// statements in all.
func (p *program) carried(state string, count int) {
	p.t.Helper()
	for sum := 0; sum < count; {
		var e struct {
			State string
			Count int
		}
		p.wait("bridge").decode(p.t, &e)
		if e.State == state {
			sum += e.Count
		}
		if sum > count {
			p.t.Fatalf("%s are %d statements, want %d", state, sum, count)
		}
	}
}

// published publishes a small file in a home and returns the channel's address.
func published(t *testing.T, home, topic, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("the file "+name), 0o600); err != nil {
		t.Fatal(err)
	}
	var res struct{ Address string }
	if err := json.Unmarshal([]byte(ok(t, home, "channel-publish", topic, file, "--once", "--json")), &res); err != nil {
		t.Fatal(err)
	}
	return res.Address
}

func TestTheBuiltInNATSServerKeepsItsStreamsWhenItIsKilled(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	address := published(t, home, "music/live", "one")
	p := start(t, home, "bridge-nats", "--nats-listen", "0")
	var e struct{ State, Listen string }
	p.wait("bridge").decode(t, &e)
	if e.State != "connected" || !strings.HasPrefix(e.Listen, "nats://127.0.0.1:") {
		t.Fatalf("the first event is %+v", e)
	}
	p.carried("sent", 3) // root, release, head
	p.kill()

	published(t, home, "music/live", "two")
	p = start(t, home, "bridge-nats", "--nats-listen", "0")
	p.wait("bridge").decode(t, &e)
	p.carried("sent", 2) // the rest is there still

	// Other programs on this machine read what comes by, and write no stream.
	nc, err := nats.Connect(e.Listen, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	events, err := nc.SubscribeSync("aml.v1.main.event.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	published(t, home, "music/live", "three")
	m, err := events.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Address string
		Seq     int
	}
	if err := json.Unmarshal(m.Data, &v); err != nil || v.Address != address || v.Seq != 3 {
		t.Errorf("the event is %s", m.Data)
	}
	if _, err := nc.Request("$JS.API.STREAM.DELETE.aml_main_MANIFESTS", nil, 200*time.Millisecond); err == nil {
		t.Error("a local program deletes a stream")
	}
	if code := p.interrupt(); code != 130 {
		t.Errorf("after Ctrl-C the exit code is %d\n%s", code, p.stderr)
	}
}

func TestTwoNodesThatShareNothingButNATSHaveTheSameReleases(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	ofA, ofB := published(t, a, "music/live", "one"), published(t, b, "music/live", "uno")
	left := start(t, a, "bridge-nats", ofA, ofB, "--url", url)
	right := start(t, b, "bridge-nats", ofA, ofB, "--url", url)
	// A third one knows the second alone, and has of it what came by NATS.
	third := start(t, filepath.Join(t.TempDir(), "c"), "channel-subscribe", ofA, "-o", t.TempDir(), "--peer", right.addr())
	left.carried("taken", 3)
	right.carried("taken", 3)
	published(t, a, "music/live", "two") // through the node that runs
	right.carried("taken", 2)
	third.wait("manifest")
	for home, x := range map[string]struct {
		address string
		logs    int
	}{a: {ofB, 1}, b: {ofA, 2}} {
		var info struct {
			Logs []struct{ Seq int }
		}
		out := ok(t, home, "channel-show", x.address, "--json")
		if err := json.Unmarshal([]byte(out), &info); err != nil || len(info.Logs) != 1 || info.Logs[0].Seq != x.logs {
			t.Errorf("%s of %s: %v %s", home, x.address, err, out)
		}
	}
	if out := ok(t, a, "bridge-nats-dead", "--url", url, "--json"); strings.TrimSpace(out) != `{"letters":[]}` {
		t.Errorf("dead letters: %s", out)
	}
	_, errs, code := amlRun(t, a, "bridge-nats", "--url", url)
	if code != 1 || !strings.Contains(errs, "already") {
		t.Errorf("a second bridge with the same NATS: %d, %s", code, errs)
	}
}

// putThere waits until a bridge has put so many blobs into the object store, in all.
func (p *program) putThere(count int) {
	p.t.Helper()
	for sum := 0; sum < count; {
		var e struct {
			State string
			Count int
		}
		if p.wait("bridge").decode(p.t, &e); e.State == "blobs" {
			sum += e.Count
		}
	}
}

func TestFilesGoThroughNATSWhereNoPeerIsReached(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	a, b, out := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), t.TempDir()
	address := published(t, a, "music/live", "one")
	left := start(t, a, "bridge-nats", "--url", url, "--blobs")
	start(t, b, "bridge-nats", address, "--url", url, "--blobs").carried("taken", 3)
	left.putThere(2) // the file, and the release's inventory
	right := start(t, b, "channel-subscribe", address, "-o", out)
	right.wait("file")
	published(t, a, "music/live", "two")
	right.wait("file")
	for _, name := range []string{"one", "two"} {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != "the file "+name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}
