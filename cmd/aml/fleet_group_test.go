package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/anonymous-media-library/aml/internal/natslab"
)

// startNATS runs one in this process.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server does not start")
	}
	return s.ClientURL()
}

// fleetCase is a fleet that is put to a test.
type fleetCase struct {
	cluster                   bool // of three NATS servers, each a process, not one
	members, copies, releases int
	size                      int                           // of the file of each release
	kill                      int                           // members, when half of the releases are out
	add                       int                           // members, when three quarters are
	trouble                   map[int]func(natslab.Servers) // by how many releases are out
	steady                    bool                          // no member takes another for dead
	ttl                       time.Duration
	most                      float64
	within                    time.Duration
}

// coverage is what mirror-status says of the only channel.
type coverage struct {
	Releases, Short, Unlisted int
	Blobs                     int64
	Members                   []struct {
		Peer            string
		Releases, Blobs int64
	}
	Spread []struct{ Copies, Blobs int }
}

func coverageOf(t *testing.T, home string) (c coverage) {
	t.Helper()
	out, errs, code := amlRun(t, home, "mirror-status", "--json")
	var res struct{ Channels []coverage }
	if code != 0 || json.Unmarshal([]byte(out), &res) != nil || len(res.Channels) != 1 {
		t.Logf("mirror-status: exit code %d\n%s%s", code, out, errs)
		return c
	}
	return res.Channels[0]
}

// blobsOf are the blobs in a store.
func blobsOf(t *testing.T, home string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for line := range strings.Lines(ok(t, home, "blob-list", "--json")) {
		var b struct{ ID string }
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all[b.ID] = true
	}
	return all
}

// fleetKeeps has a fleet follow a channel while members die and come, and wants every
// release in enough copies, that the origin was asked for little more than everything
// once, and that a late subscriber has it all without the origin.
func fleetKeeps(t *testing.T, f fleetCase) {
	dir := t.TempDir()
	origin, content := filepath.Join(dir, "p"), filepath.Join(dir, "content")
	release := func(i int) string {
		file := filepath.Join(content, fmt.Sprintf("file-%03d.bin", i))
		noise(t, file, f.size+i, uint64(i+1))
		return publish(t, origin, "music/live", file)
	}
	daemon := start(t, origin, "daemon")
	peer := daemon.addr()
	address := release(0)
	var lab natslab.Servers
	var urls []string
	replicas := 1
	if f.cluster {
		lab, replicas = natslab.Cluster(t), 3
		urls = lab.URLs()
	} else {
		urls = append(urls, startNATS(t))
	}

	var running []*program
	var homes, addrs []string
	join := func() {
		home := filepath.Join(dir, fmt.Sprint("m", len(homes)))
		args := []string{"mirror", address, "--group", "g", "--copies", fmt.Sprint(f.copies), "--ttl", f.ttl.String(), "--replicas", fmt.Sprint(replicas), "--peer", peer, "--set", "dht=false"}
		for _, u := range urls {
			args = append(args, "--nats", u)
		}
		p := start(t, home, args...)
		running, homes, addrs = append(running, p), append(homes, home), append(addrs, p.addr())
	}
	for range f.members {
		join()
	}
	began := time.Now()
	dead := map[int]bool{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	midway := func() { // some of it is kept, and most is not
		for end := time.Now().Add(f.within); time.Now().Before(end); <-tick.C {
			whole := int64(0)
			for _, m := range coverageOf(t, homes[0]).Members {
				whole += m.Releases
			}
			if whole >= int64(f.releases/4) {
				return
			}
		}
	}
	for i := 1; i < f.releases; i++ {
		release(i)
		if trouble := f.trouble[i]; trouble != nil {
			midway()
			trouble(lab)
		}
		if i == f.releases/2 && f.kill > 0 {
			midway()
			for len(dead) < f.kill {
				if n := rand.IntN(f.members); !dead[n] {
					dead[n] = true
					running[n].kill()
					t.Logf("member %d was killed after %d releases, %v", n, i, time.Since(began).Round(time.Second))
				}
			}
		}
		if i == f.releases*3/4 {
			for range f.add {
				join()
			}
		}
	}
	alive := len(homes) - len(dead)
	ask := slices.IndexFunc(homes, func(home string) bool { return !dead[slices.Index(homes, home)] })
	var c coverage
	for end := time.Now().Add(f.within); ; {
		c = coverageOf(t, homes[ask])
		if len(c.Members) == alive && c.Releases == f.releases && c.Short == 0 && c.Unlisted == 0 {
			break
		}
		if time.Now().After(end) {
			for i, p := range running {
				t.Logf("member %d (dead: %v) said on stderr: %.2000s", i, dead[i], p.stderr)
			}
			t.Fatalf("after %v still not in %d copies with %d members: %+v", f.within, f.copies, alive, c)
		}
		<-tick.C
	}
	if f.steady {
		for i, p := range running {
			p.sees(t, i, f.members)
		}
	}
	var stats struct {
		CurrentSize int64
		Sent        struct{ Useful, Duplicate, Wasted int64 }
	}
	if err := json.Unmarshal([]byte(ok(t, origin, "blob-status", "--json")), &stats); err != nil {
		t.Fatal(err)
	}
	sent := float64(stats.Sent.Useful+stats.Sent.Duplicate+stats.Sent.Wasted) / float64(stats.CurrentSize)
	t.Logf("%d releases, %d blobs, in %d copies after %v; the origin sent %.3f of its blobs' bytes; copies %+v", c.Releases, c.Blobs, f.copies, time.Since(began).Round(time.Second), sent, c.Spread)
	if sent > f.most {
		t.Errorf("the origin sent %.3f times what it has (%d bytes), want %.2f at most", sent, stats.CurrentSize, f.most)
	}
	// What is taken back goes from all of them.
	before := blobsOf(t, origin)
	ok(t, origin, "channel-retract", "music/live", "file-000.bin", "--reason", "wrong")
	if err := os.Remove(filepath.Join(content, "file-000.bin")); err != nil {
		t.Fatal(err)
	}
	after, gone := blobsOf(t, origin), 0
	for id := range before {
		if !after[id] {
			gone++
		}
	}
	if gone == 0 {
		t.Fatal("the publisher has let go of nothing")
	}
	for i, home := range homes {
		for end := time.Now().Add(f.within); !dead[i]; <-tick.C {
			left := 0
			for id := range blobsOf(t, home) {
				if before[id] && !after[id] {
					left++
				}
			}
			if left == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("member %d has %d of %d blobs that were taken back %v ago\n%s", i, left, gone, f.within, running[i].stderr)
			}
		}
	}
	daemon.kill()
	if err := os.RemoveAll(origin); err != nil {
		t.Fatal(err)
	}
	args := []string{"channel-subscribe", address, "-o", filepath.Join(dir, "late"), "--once", "--set", "dht=false", "--timeout", f.within.String()}
	for i, a := range addrs {
		if !dead[i] {
			args = append(args, "--peer", a)
		}
	}
	ok(t, filepath.Join(dir, "l"), args...)
	sameTree(t, filepath.Join(dir, "late"), content)
}

// sees says that a member of a fleet has always seen so many, once it has.
func (p *program) sees(t *testing.T, i, members int) {
	t.Helper()
	var seen []int
	for len(p.events) > 0 {
		var e struct {
			State   string
			Members int
		}
		if ev := <-p.events; ev.name != "mirror" {
			continue
		} else if ev.decode(t, &e); e.State == "members" {
			seen = append(seen, e.Members)
		}
	}
	first := slices.Index(seen, members)
	if first < 0 || slices.ContainsFunc(seen[first:], func(n int) bool { return n != members }) {
		t.Errorf("member %d has seen %v members, want %d without end\n%.4000s", i, seen, members, p.stderr)
	}
	t.Logf("member %d has seen %v members", i, seen)
}

// The full size of this runs with -tags large.
func TestAFleetFetchesOnceAndKeepsCopies(t *testing.T) {
	t.Parallel()
	fleetKeeps(t, fleetCase{members: 3, copies: 2, releases: 3, size: 100_000, ttl: 9 * time.Second, most: 2.5, within: 4 * patience})
}
