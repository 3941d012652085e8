package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// The soak: a publisher, a mirror between and two followers, each a daemon,
// exchange releases for hours while one of them after the other is killed. In
// the end every follower has what the publisher has, and memory, goroutines and
// file descriptors have not grown: it fails if they have.
const (
	soakKeep    = 16              // releases that stay; older files are removed by the next release
	soakPublish = 3 * time.Second // between releases
	soakSettle  = 90 * time.Second
)

// soakNode is one daemon of the soak.
type soakNode struct {
	name string
	home string
	out  string // folder of its subscription, empty for the publisher
	peer func() []string
	cmd  *exec.Cmd
	addr string
	stop func()
}

type soak struct {
	o       options
	bin     string
	nodes   []*soakNode
	address string
	seq     int
	live    map[string][sha256.Size]byte // what the channel holds now, by name
	order   []string
	began   time.Time
	figures map[string][]figures // by node, in the order in which they were taken
}

// figures are what a node is at one time.
type figures struct {
	resident                int64 // KiB
	goroutines, descriptors int
}

// benchSoak runs for o.length and prints a line of figures for each node every
// o.every: seconds, node, resident KiB, goroutines, file descriptors, blobs.
func benchSoak(ctx context.Context, o options) error {
	bin, err := build(ctx, o)
	if err != nil {
		return err
	}
	s := &soak{o: o, bin: bin, live: map[string][sha256.Size]byte{}, began: time.Now(), figures: map[string][]figures{}}
	defer s.close()
	if err := s.setUp(ctx); err != nil {
		return err
	}
	fmt.Println("seconds\tnode\tresident-KiB\tgoroutines\tdescriptors\tblobs")
	publish, sample := time.NewTicker(soakPublish), time.NewTicker(o.every)
	defer publish.Stop()
	defer sample.Stop()
	var kill <-chan time.Time
	if o.kill > 0 {
		ticks := time.NewTicker(o.kill)
		defer ticks.Stop()
		kill = ticks.C
	}
	end := time.After(o.length)
	for victim := 0; ; {
		select {
		case <-end:
			return s.settle(ctx)
		case <-publish.C:
			if err := s.publish(ctx); err != nil {
				return err
			}
		case <-kill:
			n := s.nodes[1+victim%(len(s.nodes)-1)] // a publisher in the middle of a publication is another test
			victim++
			if err := s.restart(ctx, n); err != nil {
				return err
			}
		case <-sample.C:
			for _, n := range s.nodes {
				s.sample(ctx, n)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setUp starts the publisher, a mirror that knows it, and two followers that
// know the mirror and each other alone.
func (s *soak) setUp(ctx context.Context) error {
	dir := func(name string) string { return filepath.Join(s.o.dir, name) }
	pub := &soakNode{name: "publisher", home: dir("publisher"), peer: func() []string { return nil }}
	mirror := &soakNode{name: "mirror", home: dir("mirror"), out: dir("mirror-out"), peer: func() []string { return []string{pub.addr} }}
	first := &soakNode{name: "follower-1", home: dir("follower-1"), out: dir("out-1"), peer: func() []string { return []string{mirror.addr} }}
	second := &soakNode{name: "follower-2", home: dir("follower-2"), out: dir("out-2"), peer: func() []string { return []string{mirror.addr, first.addr} }}
	s.nodes = []*soakNode{pub, mirror, first, second}
	if err := s.start(ctx, pub); err != nil {
		return err
	}
	if err := s.publish(ctx); err != nil {
		return err
	}
	for _, n := range s.nodes[1:] {
		if err := s.start(ctx, n); err != nil {
			return err
		}
		// A daemon keeps the subscription; the command that made it only watches.
		sub := exec.CommandContext(ctx, s.bin, "channel-subscribe", s.address, "-o", n.out, "--home", n.home, "--json")
		if err := sub.Start(); err != nil {
			return err
		}
		if err := s.wait(ctx, n, soakSettle); err != nil {
			return err
		}
		_ = sub.Process.Signal(os.Interrupt)
		_ = sub.Wait() // it was interrupted
	}
	return nil
}

func (s *soak) start(ctx context.Context, n *soakNode) error {
	args := []string{"daemon", "--home", n.home, "--json", "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false", "--set", "quota=256MiB"}
	if n.addr != "" { // after a restart it is where it was
		args[5] = n.listen()
	}
	for _, p := range n.peer() {
		args = append(args, "--peer", p)
	}
	n.cmd = exec.CommandContext(ctx, s.bin, args...)
	n.cmd.Stderr = os.Stderr
	var err error
	n.addr, n.stop, err = serving(n.cmd)
	return err
}

// listen is the multiaddr of an earlier start without the peer's id.
func (n *soakNode) listen() string {
	for i := len(n.addr) - 1; i > 5; i-- {
		if n.addr[i-5:i] == "/p2p/" {
			return n.addr[:i-5]
		}
	}
	return n.addr
}

// restart kills a node, without a word, and starts it again.
func (s *soak) restart(ctx context.Context, n *soakNode) error {
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	_ = n.cmd.Wait()
	return s.start(ctx, n)
}

// publish adds a release of one new file, and removes the oldest when there are
// enough.
func (s *soak) publish(ctx context.Context) error {
	s.seq++
	name := fmt.Sprintf("file-%06d.bin", s.seq)
	path := filepath.Join(s.o.dir, name)
	content := make([]byte, 64<<10+mrand.IntN(8<<20))
	_, _ = rand.Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	defer os.Remove(path)
	draft := map[string]any{"title": name, "entries": []map[string]string{{"path": path}}}
	if len(s.order) >= soakKeep {
		draft["remove"] = s.order[:1]
	}
	text, err := json.Marshal(draft)
	if err != nil {
		return err
	}
	manifest := filepath.Join(s.o.dir, "manifest.json")
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.bin, "channel-publish", "soak/test", "-i", manifest, "--home", s.nodes[0].home, "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("publishing release %d: %w", s.seq, err)
	}
	var res struct{ Address string }
	if err := json.Unmarshal(out, &res); err != nil {
		return err
	}
	s.address = res.Address
	if len(s.order) >= soakKeep {
		delete(s.live, s.order[0])
		s.order = s.order[1:]
	}
	s.live[name] = sha256.Sum256(content)
	s.order = append(s.order, name)
	return nil
}

// wait waits until n has written out just what the channel holds.
func (s *soak) wait(ctx context.Context, n *soakNode, patience time.Duration) error {
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if last = s.same(n); last == nil {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s after %v: %w", n.name, patience, last)
}

// same reports how n's folder differs from the channel.
func (s *soak) same(n *soakNode) error {
	for name, want := range s.live {
		content, err := os.ReadFile(filepath.Join(n.out, name))
		if err != nil {
			return err
		}
		if sha256.Sum256(content) != want {
			return fmt.Errorf("%s is not what was published", name)
		}
	}
	entries, err := os.ReadDir(n.out)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := s.live[e.Name()]; e.Type().IsRegular() && !ok {
			return fmt.Errorf("%s was removed and is there", e.Name())
		}
	}
	return nil
}

// settle is the verdict.
func (s *soak) settle(ctx context.Context) error {
	var errs []error
	for _, n := range s.nodes[1:] {
		errs = append(errs, s.wait(ctx, n, soakSettle))
	}
	for _, n := range s.nodes {
		s.sample(ctx, n)
	}
	for _, n := range s.nodes {
		errs = append(errs, s.steady(n))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("after %v and %d releases every follower has what was published\n", time.Since(s.began).Round(time.Second), s.seq)
	return nil
}

// mostGrowth is by how much the figures of the last third of a soak may be over
// those of the second: what leaks grows without end, and what is kept warm does
// not.
const mostGrowth = 1.5

// steady reports what of a node has grown, of the medians. A short soak tells
// nothing.
func (s *soak) steady(n *soakNode) error {
	all := s.figures[n.name]
	third := len(all) / 3
	if third < 5 {
		return nil
	}
	var errs []error
	for what, of := range map[string]func(figures) int64{
		"resident KiB": func(f figures) int64 { return f.resident },
		"goroutines":   func(f figures) int64 { return int64(f.goroutines) },
		"descriptors":  func(f figures) int64 { return int64(f.descriptors) },
	} {
		middle := func(some []figures) int64 {
			values := make([]int64, len(some))
			for i, f := range some {
				values[i] = of(f)
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		before, after := middle(all[third:2*third]), middle(all[2*third:])
		if float64(after) > mostGrowth*float64(before) {
			errs = append(errs, fmt.Errorf("%s: %s grew from %d to %d", n.name, what, before, after))
		}
	}
	return errors.Join(errs...)
}

// sample prints a node's figures. A node that is just starting prints nothing.
func (s *soak) sample(ctx context.Context, n *soakNode) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.bin, "status", "--home", n.home, "--json").Output()
	var status struct {
		Goroutines int
		Blobs      struct{ BlobCount int64 }
	}
	if err != nil || json.Unmarshal(out, &status) != nil {
		return
	}
	pid := n.cmd.Process.Pid
	descriptors := -1
	if d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		descriptors = len(d)
	} else if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	f := figures{resident(pid), status.Goroutines, descriptors}
	s.figures[n.name] = append(s.figures[n.name], f)
	fmt.Printf("%.0f\t%s\t%d\t%d\t%d\t%d\n", time.Since(s.began).Seconds(), n.name, f.resident, f.goroutines, f.descriptors, status.Blobs.BlobCount)
}

// resident is how many KiB of memory a process has, -1 where /proc does not say.
func resident(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return -1
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(raw), &size, &pages); err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize()) >> 10
}

func (s *soak) close() {
	for _, n := range s.nodes {
		if n.stop != nil {
			n.stop()
		}
	}
}
