//go:build linux

package netlab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// TB is what a Lab needs of its test; a *testing.T or *testing.B. A program
// that is no test can bring its own.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Skipf(format string, args ...any)  // does not return
	Fatalf(format string, args ...any) // does not return
}

// Link is how a host is joined to the rest, each way. What two hosts see of
// each other is the sum of their links: with a Delay of 10 ms each, a round
// trip takes 40 ms. The zero value passes everything at once.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // at most this much more, at random; the order is kept
	Loss   float64       // the part of the packets that is lost, 0 to 1
	Rate   int64         // bytes per second; 0 means no limit
	Queue  int           // bytes that may wait for the rate, the rest is lost; if zero, what takes 100 ms, at least 64 KiB
}

// Lab is one internet. Its methods may be called from several goroutines.
type Lab struct {
	t      TB
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.RWMutex
	hosts map[netip.Addr]*Host // by address; those behind NATs are not in it
	nats  map[netip.Addr]*NAT
	names map[string]*Host
	cut   map[[2]*Host]bool
	all   []*Host // in the order of their making

	dropped, passed atomic.Int64
}

// New starts an empty lab that is torn down when the test ends, however it
// ends. Where the system does not allow it, the test is skipped and told why.
func New(t TB) *Lab {
	t.Helper()
	if err := allowed(); err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lab{t: t, ctx: ctx, cancel: cancel, hosts: make(map[netip.Addr]*Host), nats: make(map[netip.Addr]*NAT),
		names: make(map[string]*Host), cut: make(map[[2]*Host]bool)}
	t.Cleanup(l.close)
	return l
}

// Host adds a host with a public address. The addresses are of 11.0.0.0/8:
// programs take them for public ones, and they lead nowhere but in this lab.
func (l *Lab) Host(name string, link Link) *Host {
	l.t.Helper()
	l.mu.Lock()
	addr := netip.AddrFrom4([4]byte{11, 0, byte(len(l.all) >> 8), byte(len(l.all) + 1)})
	l.mu.Unlock()
	return l.add(&Host{lab: l, name: name, addr: addr}, link)
}

func (l *Lab) add(h *Host, link Link) *Host {
	l.t.Helper()
	if err := h.start(link); err != nil {
		l.t.Fatalf("netlab: host %s: %v", h.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names[h.name] != nil {
		h.stop()
		l.t.Fatalf("netlab: there is a host %s already", h.name)
	}
	l.names[h.name] = h
	l.all = append(l.all, h)
	if h.nat == nil {
		l.hosts[h.addr] = h
	} else {
		h.nat.hosts[h.addr] = h
	}
	return h
}

// Partition stops every packet between a and b, until Heal.
func (l *Lab) Partition(a, b string) { l.setCut(a, b, true) }

// Heal ends a partition.
func (l *Lab) Heal(a, b string) { l.setCut(a, b, false) }

func (l *Lab) setCut(a, b string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, y := l.names[a], l.names[b]
	if x == nil || y == nil {
		panic(fmt.Sprintf("netlab: no hosts %q and %q", a, b)) // a mistake of the test's
	}
	l.cut[[2]*Host{x, y}] = cut
	l.cut[[2]*Host{y, x}] = cut
}

// Packets returns how many packets were passed on and how many were dropped:
// lost, over a limit, partitioned, or refused by a NAT.
func (l *Lab) Packets() (passed, dropped int64) { return l.passed.Load(), l.dropped.Load() }

// route treats a packet that left h, and sends it on. It may change p, which
// is not used by anybody else until route returns.
func (l *Lab) route(h *Host, p packet) {
	if to := l.target(h, p); to != nil {
		to.down.send(p)
		return
	}
	l.dropped.Add(1)
}

// target is the host that a packet is for, after its addresses were translated;
// nil if it gets nowhere.
func (l *Lab) target(h *Host, p packet) *Host {
	if !p.valid() {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var to *Host
	if h.nat != nil {
		to = h.nat.hosts[p.dst()]
	}
	if to == nil {
		if h.nat != nil && !h.nat.outbound(p) {
			return nil
		}
		if to = l.hosts[p.dst()]; to == nil {
			nat := l.nats[p.dst()]
			if nat == nil || nat == h.nat {
				return nil // few NATs turn a packet around
			}
			if to = nat.inbound(p); to == nil {
				return nil
			}
		}
	}
	if l.cut[[2]*Host{h, to}] {
		return nil
	}
	return to
}

func (l *Lab) close() {
	l.cancel()
	l.mu.RLock()
	all := l.all
	l.mu.RUnlock()
	for _, h := range all {
		h.stop()
	}
}
