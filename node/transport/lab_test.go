//go:build linux

package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/internal/netlab"
)

// A program for a host of the lab is this test binary, with the task in its
// environment.
const labTask = "AML_LAB_TASK"

// task is what a program of the lab does.
type task struct {
	Role   string // relay, seed or fetch
	Config struct {
		Listen []string
		Punch  bool
		Relays []string
		Relay  Relay
	}
	Blobs int           // how many blobs of 2 MiB to seed or fetch
	Peers []string      // whom to fetch from
	Stall time.Duration // exchange's StallTimeout
}

// told is a line that a program of the lab writes.
type told struct {
	Addrs     []string // where it is reached
	Confirmed []string // where others have dialled back
	Got       int      // bytes fetched so far
	By        string   // multiaddr of the connection
	Stats     *RelayStats
	Err       string
}

func TestMain(m *testing.M) {
	var t task
	s := os.Getenv(labTask)
	if s == "" {
		os.Exit(m.Run())
	}
	err := json.Unmarshal([]byte(s), &t)
	if err == nil {
		err = t.run()
	}
	if err != nil {
		tell(told{Err: err.Error()})
		os.Exit(1)
	}
}

func tell(line told) { json.NewEncoder(os.Stdout).Encode(line) }

func labBlob(i int) []byte {
	b := make([]byte, 2<<20)
	random := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
	random.Read(b)
	return b
}

// run does the task until standard input ends.
func (t *task) run() error {
	key, err := LoadOrCreateIdentity(os.TempDir() + fmt.Sprintf("/aml-lab-%d", os.Getpid()))
	if err != nil {
		return err
	}
	os.Remove(os.TempDir() + fmt.Sprintf("/aml-lab-%d", os.Getpid()))
	cfg := Config{Identity: key, Punch: t.Config.Punch, Relay: t.Config.Relay}
	if cfg.Listen, err = ParseListen(t.Config.Listen); err != nil {
		return err
	}
	if cfg.Relays, err = ParsePeers(t.Config.Relays); err != nil {
		return err
	}
	h, err := New(cfg)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := memstore.New(memstore.Config{})
	if t.Role == "seed" {
		for i := range t.Blobs {
			if err := store.Put(ctx, blobnet.Sum(labBlob(i)), labBlob(i)); err != nil {
				return err
			}
		}
	}
	e, err := exchange.New(exchange.Config{Host: h.Blobs(), Store: store, StallTimeout: t.Stall})
	if err != nil {
		return err
	}
	go e.Run(ctx)
	if t.Role == "fetch" {
		go func() {
			if err := t.fetch(ctx, h, e); err != nil {
				tell(told{Err: err.Error()})
			}
		}()
	} else {
		go t.show(ctx, h)
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// show tells where the host is reached as that changes, and what it relays.
func (t *task) show(ctx context.Context, h *Host) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last string
	for {
		line := told{}
		for _, a := range Addrs(h) {
			line.Addrs = append(line.Addrs, a.String())
		}
		for _, a := range h.Reachability().Confirmed {
			line.Confirmed = append(line.Confirmed, a.String())
		}
		if stats := h.RelayStats(); stats.Bytes > 0 {
			line.Stats = &stats
		}
		if now := fmt.Sprint(line.Addrs, line.Confirmed, line.Stats); now != last {
			last = now
			tell(line)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (t *task) fetch(ctx context.Context, h *Host, e *exchange.Exchange) error {
	peers, err := ParsePeers(t.Peers)
	if err != nil {
		return err
	}
	p := peers[0]
	if err := h.Connect(network.WithAllowLimitedConn(ctx, "lab"), p); err != nil {
		return err
	}
	from := e.Peer(p.ID)
	defer from.Close()
	var got int
	for i := 0; i < t.Blobs; {
		b, err := from.Get(ctx, blobnet.Sum(labBlob(i)), nil)
		if err != nil {
			tell(told{Err: "trying again: " + err.Error()})
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		i++
		got += len(b)
		tell(told{Got: got, By: used(h, p.ID)})
	}
	return nil
}

// used is the connection that the blobs of p come by.
func used(h *Host, p peer.ID) string {
	for _, c := range h.Network().ConnsToPeer(p) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == exchange.Protocol {
				return c.RemoteMultiaddr().String()
			}
		}
	}
	return ""
}

// program is a task under way on a host of the lab.
type program struct {
	*netlab.Cmd
	lines chan told
}

func start(t *testing.T, h *netlab.Host, what task) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	c := h.Command(t.Context(), self)
	c.Env = append(os.Environ(), labTask+"="+string(env))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		out.Close()
	})
	p := &program{Cmd: c, lines: make(chan told, 1000)}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var line told
			if err := json.Unmarshal(s.Bytes(), &line); err != nil {
				line.Err = s.Text()
			}
			p.lines <- line
		}
	}()
	return p
}

// until reads a program's lines until one is as wanted.
func (p *program) until(t *testing.T, what string, want func(told) bool) told {
	t.Helper()
	for limit := time.After(90 * time.Second); ; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("waiting for %s: the program has ended", what)
			}
			if line.Err != "" {
				t.Log(line.Err)
			}
			if want(line) {
				return line
			}
		case <-limit:
			t.Fatalf("waiting for %s: nothing in time", what)
		}
	}
}

// reached waits until a program tells addresses with the given part, and
// returns those.
func (p *program) reached(t *testing.T, part string) []string {
	t.Helper()
	var found []string
	p.until(t, "an address with "+part, func(line told) bool {
		for _, a := range line.Addrs {
			if strings.Contains(a, part) {
				found = append(found, a)
			}
		}
		return found != nil
	})
	return found
}
