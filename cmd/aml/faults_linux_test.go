package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/netlab"
	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

// on runs aml on a host of the lab, at its port 4001.
func on(t *testing.T, host *netlab.Host, transport, home string, args ...string) *program {
	t.Helper()
	args = append(args, "--json", "--home", home, "--listen", "/ip4/"+host.Addr().String()+transport, "--set", "lan=false")
	cmd := host.Command(context.Background(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return background(t, cmd.Cmd, cmd.Start, cmd.Wait)
}

// A transfer over a line with delay and loss is cut in the middle and goes on
// when the line is back: each byte came once.
func TestAFetchGoesOnAfterAPartitionOfALossyLine(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"/tcp/4001", "/udp/4001/quic-v1"} {
		t.Run(transport[1:4], func(t *testing.T) {
			t.Parallel()
			l := netlab.New(t)
			// Both links together: 20 ms one way, 40 ms there and back, and 1 % lost each way.
			link := netlab.Link{Delay: 10 * time.Millisecond, Loss: 0.005}
			left, right := l.Host("left", link), l.Host("right", link)

			dir := t.TempDir()
			seed, home, out := filepath.Join(dir, "p"), filepath.Join(dir, "f"), filepath.Join(dir, "out")
			const size = 4 << 20
			file, entry := ingested(t, seed, size, "--chunk-size", "128KiB")
			seeder := on(t, left, transport, seed, "blob-seed", "-i", entry)
			peer := seeder.addr()
			base := holds(t, seeder, seed)
			fetch := on(t, right, transport, home, "blob-fetch", "-i", entry, "-o", out, "--peer", peer)

			// Packets have 1,500 bytes at most: the fetch cannot be over.
			passed := func() int64 { passed, _ := l.Packets(); return passed }
			until(t, "the transfer to be under way", func() bool { return passed() > size/2/1500 })
			l.Partition("left", "right")
			// What was on its way is lost at once, what is sent again bit by bit.
			_, lost := l.Packets()
			tries := 0
			until(t, "both ends to try again and again", func() bool {
				if _, dropped := l.Packets(); dropped > lost {
					lost = dropped
					tries++
				}
				return tries == 6
			})
			select {
			case <-fetch.done:
				t.Fatalf("the fetch ended in the partition\n%s", fetch.stderr)
			default:
			}
			l.Heal("left", "right")
			if code := fetch.exit(); code != 0 {
				t.Fatalf("exit code %d\n%s", code, fetch.stderr)
			}
			sameFile(t, out, file)
			var last event
			for e := range fetch.events {
				last = e
			}
			if f := fetched(t, string(last.raw)); f.FromPeers != size {
				t.Errorf("%d bytes came from the peer, want %d", f.FromPeers, size)
			}
			holdsNoMore(t, seeder, seed, base, slack)
		})
	}
}

// smallDisk mounts a disk of that size in dir, or skips the test.
func smallDisk(t *testing.T, dir, size string) string {
	t.Helper()
	path := filepath.Join(dir, "small")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return smalldisk.Mount(t, path, size)
}

// Output, store and databases are on one disk that fills up in mid-fetch. With
// room made the next run goes on, and asks for no more than is missing.
func TestAFetchWhoseDiskFillsUpGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			small := smallDisk(t, dir, "96m")
			seed, home, out := filepath.Join(dir, "p"), filepath.Join(small, "f"), filepath.Join(small, "out")
			const size = 32 << 20
			file, entry := ingested(t, seed, size)
			peer := start(t, seed, "blob-seed", "-i", entry).addr()
			args := []string{"blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--set", "minfree=0", fmt.Sprintf("--keep-blobs=%v", keep)}

			fetch := start(t, home, append(args, "--progress", "--set", "download=16MiB")...)
			fetch.received(size / 4)
			signal := func(s syscall.Signal) {
				if err := fetch.cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			signal(syscall.SIGSTOP) // so that it is not over before the disk is full
			ballast := filepath.Join(small, "ballast")
			fill(t, ballast, 1<<20)
			signal(syscall.SIGCONT)
			code := fetch.exit()
			if code != 1 || !strings.Contains(fetch.stderr.String(), "space") {
				t.Fatalf("exit code %d\n%s", code, fetch.stderr)
			}
			noFile(t, out)
			fails(t, 1, home, args, "space") // still

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			f := fetched(t, ok(t, home, append(args, "--json")...))
			if f.FromStore < size/4 || f.FromStore+f.FromPeers != size {
				t.Errorf("after room was made %d bytes were here and %d came from the peer; want %d here at least", f.FromStore, f.FromPeers, size/4)
			}
			sameFile(t, out, file)
			if s := scrub(t, home); s.Rotten+s.Missing != 0 || s.Blobs != 33 {
				t.Errorf("afterwards a scrub finds %+v, want 33 good blobs", s)
			}
		})
	}
}

// A daemon whose disk is full serves what it has, says so, and comes back.
func TestADaemonOnAFullDiskServesAndComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := smallDisk(t, dir, "48m")
	home := filepath.Join(small, "home")
	file, entry := ingested(t, home, 8<<20, "--set", "minfree=0")
	daemon := start(t, home, "daemon", "--set", "minfree=0")
	peer := daemon.addr()
	base := holds(t, daemon, home)

	ballast := filepath.Join(small, "ballast")
	fill(t, ballast, 6<<20)
	more := filepath.Join(dir, "more")
	noise(t, more, 16<<20, 7)
	refused := filepath.Join(dir, "refused.json")
	fails(t, 1, home, []string{"ingest", "-i", more, "-o", refused}, "full")
	noFile(t, refused)
	var state struct{ State string }
	if daemon.wait("store").decode(t, &state); state.State != "serve-only" {
		t.Errorf("the daemon says %q", state.State)
	}
	if !statusOf(t, home).Blobs.ServeOnly {
		t.Error("status does not say that the disk is full")
	}
	out := filepath.Join(dir, "out")
	ok(t, filepath.Join(dir, "f"), "blob-fetch", "-i", entry, "-o", out, "--peer", peer)
	sameFile(t, out, file)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon to find that there is room", func() bool { return !statusOf(t, home).Blobs.ServeOnly })
	if daemon.wait("store").decode(t, &state); state.State != "writable" {
		t.Errorf("the daemon says %q", state.State)
	}
	again := filepath.Join(dir, "again.json")
	ok(t, home, "ingest", "-i", more, "-o", again)
	holdsNoMore(t, daemon, home, base, slack)
	daemon.interrupt()
	if s := scrub(t, home, "--set", "minfree=0"); s.Rotten+s.Missing != 0 || s.Blobs < 9+17 {
		t.Errorf("afterwards a scrub finds %+v, want 26 good blobs", s)
	}
}

// Of three seeders one is killed and one stops without a word in mid-fetch. The
// third gives the rest.
func TestAFetchGoesOnWhenOnePeerIsKilledAndAnotherStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := filepath.Join(dir, "p0")
	file, entry := ingested(t, first, 24<<20)
	homes := []string{first, filepath.Join(dir, "p1"), filepath.Join(dir, "p2")}
	for _, home := range homes[1:] {
		copied(t, first, entry, home)
	}
	for i := range 5 {
		if goesOn(t, filepath.Join(dir, fmt.Sprint(i)), file, entry, homes) {
			return
		}
		t.Log("on a busy machine the fetch was over before all three had been met: once more")
	}
	t.Error("the fetch never met all three seeders")
}

// goesOn fetches a file from three seeders; when all take part, one is killed and
// one stopped. It reports whether it came to that.
func goesOn(t *testing.T, home, file, entry string, homes []string) bool {
	out := home + ".out"
	args := []string{"blob-fetch", "-i", entry, "-o", out, "--progress", "--timeout", "5s"}
	var seeders []*program
	for _, seed := range homes {
		p := start(t, seed, "blob-seed", "-i", entry, "--set", "upload=1MiB")
		seeders = append(seeders, p)
		args = append(args, "--peer", p.addr())
	}
	fetch := start(t, home, args...)
	for _, p := range seeders {
		if !p.uploads(fetch) {
			for _, p := range seeders {
				p.kill()
			}
			return false
		}
	}
	seeders[0].kill()
	if err := seeders[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code := fetch.exit(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, fetch.stderr)
	}
	sameFile(t, out, file)
	return true
}

// uploads waits until p gives something, or the fetch has ended, and reports whether
// p did so before.
func (p *program) uploads(fetch *program) bool {
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("aml ended\n%s", p.stderr)
			}
			if e.name == "upload" {
				return true
			}
		case <-fetch.done:
			return false
		}
	}
}

// held is what a daemon holds on to.
type held struct{ peers, goroutines, files int }

func holds(t *testing.T, p *program, home string) held {
	t.Helper()
	s := statusOf(t, home)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return held{s.Peers, s.Goroutines, len(open)}
}

// Peers that come, are killed, talk garbage or say nothing leave nothing behind.
func TestPeersThatComeAndAreKilledLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	const size = 24 << 20
	file, entry := ingested(t, home, size)
	daemon := start(t, home, "daemon")
	peer := daemon.addr()
	parts := strings.Split(peer, "/") // /ip4/127.0.0.1/tcp/PORT/p2p/ID
	tcp := net.JoinHostPort(parts[2], parts[4])

	round := func(peers, connections int, name string) {
		fetch := func(i int, more ...string) *program {
			id := fmt.Sprintf("%s%d", name, i)
			return start(t, filepath.Join(dir, id), append([]string{"blob-fetch", "-i", entry, "-o", filepath.Join(dir, id+".out"), "--peer", peer, "--progress"}, more...)...)
		}
		var whole, cut []*program
		for i := range peers {
			if i%2 == 0 {
				whole = append(whole, fetch(i))
			} else {
				cut = append(cut, fetch(i, "--set", "download=8MiB"))
			}
		}
		var conns []net.Conn
		for i := range connections {
			conn, err := net.Dial("tcp", tcp)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			if i%2 == 0 { // the others say nothing
				_, _ = conn.Write([]byte("\x13/multistream/1.0.0\nGET / HTTP/1.1\r\n\r\n" + strings.Repeat("garbage", 1000)))
			}
		}
		for _, p := range cut {
			p.received(1 << 20)
			p.kill()
		}
		for i, p := range whole {
			if code := p.exit(); code != 0 {
				t.Fatalf("exit code %d\n%s", code, p.stderr)
			}
			sameFile(t, filepath.Join(dir, fmt.Sprintf("%s%d.out", name, 2*i)), file)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	// The first round brings what a node keeps for as long as it runs.
	round(2, 8, "a")
	until(t, "the first peers to be gone", func() bool { return holds(t, daemon, home).peers == 0 })
	base := holds(t, daemon, home)
	const peers, few = 8, 6 // less than one for each peer
	round(peers, 32, "b")
	holdsNoMore(t, daemon, home, base, few)
}

// slack is how much more a node may hold after a fault that was its first work:
// what it opens once and keeps, such as connections to its databases.
const slack = 24

// holdsNoMore waits until a node holds what it held before, and a little more.
func holdsNoMore(t *testing.T, p *program, home string, before held, more int) {
	t.Helper()
	var now held
	defer func() {
		if t.Failed() {
			t.Logf("the node holds %+v, and held %+v", now, before)
		}
	}()
	until(t, fmt.Sprintf("the node to hold no more than %+v", before), func() bool {
		now = holds(t, p, home)
		return now.peers <= before.peers && now.goroutines <= before.goroutines+more && now.files <= before.files+more
	})
}

// Two hundred connections from one address that say nothing, or garbage, for as
// long as they may keep nobody else out, and nothing of them stays.
func TestAFloodOfConnectionsFromOneAddressKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	l := netlab.New(t)
	left, right, third := l.Host("left", netlab.Link{}), l.Host("right", netlab.Link{}), l.Host("third", netlab.Link{})
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	file, entry := ingested(t, home, 4<<20)
	daemon := on(t, left, "/tcp/4001", home, "daemon")
	peer := daemon.addr()
	fetch := func(from *netlab.Host, name string) {
		out := filepath.Join(dir, name+".out")
		p := on(t, from, "/tcp/4001", filepath.Join(dir, name), "blob-fetch", "-i", entry, "-o", out, "--peer", peer)
		if code := p.exit(); code != 0 {
			t.Fatalf("exit code %d\n%s", code, p.stderr)
		}
		sameFile(t, out, file)
	}
	fetch(right, "first")
	until(t, "the first peer to be gone", func() bool { return holds(t, daemon, home).peers == 0 })
	base := holds(t, daemon, home)

	var conns []net.Conn
	err := third.Do(func() error {
		for i := range 200 {
			conn, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: left.Addr().AsSlice(), Port: 4001})
			if err != nil {
				return err
			}
			conns = append(conns, conn)
			if i%2 == 0 {
				_, _ = conn.Write([]byte(strings.Repeat("garbage", 1000))) // it may be closed already
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fetch(right, "second")
	const slack = 6
	until(t, fmt.Sprintf("the daemon to hold no more than %+v", base), func() bool {
		now := holds(t, daemon, home)
		return now.peers == 0 && now.goroutines <= base.goroutines+slack && now.files <= base.files+slack
	})
	for _, conn := range conns { // only now: the daemon ended them at its side
		_ = conn.Close()
	}
}

// A daemon whose clients are killed ends what it did for them.
func TestClientsThatAreKilledLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed, small, home := filepath.Join(dir, "p"), filepath.Join(dir, "q"), filepath.Join(dir, "f")
	_, entry := ingested(t, seed, 64<<20)
	peer := start(t, seed, "blob-seed", "-i", entry).addr()
	dead := start(t, small, "daemon")
	gone := dead.addr()
	dead.kill()
	daemon := start(t, home, "daemon", "--set", "download=4MiB") // so that no fetch ends before it is killed
	daemon.addr()
	round := func(clients int, name string) {
		var running []*program
		for i := range clients {
			out := filepath.Join(dir, fmt.Sprintf("%s%d.out", name, i))
			running = append(running, start(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--peer", gone, "--progress", "--keep-blobs"))
		}
		for _, p := range running {
			p.received(1 << 20)
			p.kill()
		}
	}
	round(1, "a")
	base := holds(t, daemon, home)
	const clients, slack = 8, 6 // less than one for each client
	round(clients, "b")
	until(t, fmt.Sprintf("the daemon to hold no more than %+v", base), func() bool {
		now := holds(t, daemon, home)
		return now.goroutines <= base.goroutines+slack && now.files <= base.files+slack
	})
	// And it does what is asked of it next.
	file, entry := ingested(t, small, 1<<20)
	again := start(t, small, "blob-seed", "-i", entry).addr()
	out := filepath.Join(dir, "out")
	ok(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", again)
	sameFile(t, out, file)
}
