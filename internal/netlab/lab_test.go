//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// listen opens a UDP socket on a host.
func listen(t testing.TB, h *Host, port int) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo answers every packet with the address that it came from.
func echo(t testing.TB, h *Host, port int) netip.AddrPort {
	c := listen(t, h, port)
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort([]byte(from.String()), from)
		}
	}()
	return netip.AddrPortFrom(h.Addr(), uint16(port))
}

// ask sends one packet and returns the answer, or "" if none comes in time.
func ask(t testing.TB, c *net.UDPConn, to netip.AddrPort, wait time.Duration) string {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte("?"), to); err != nil {
		t.Fatal(err)
	}
	return hear(t, c, wait)
}

func hear(t testing.TB, c *net.UDPConn, wait time.Duration) string {
	t.Helper()
	buf := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(wait))
	n, _, err := c.ReadFromUDPAddrPort(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

const (
	plenty = 10 * time.Second       // for what comes
	little = 200 * time.Millisecond // for what must not come
)

func TestHostsReachEachOtherAndOnlyTheLab(t *testing.T) {
	l := New(t)
	a, b := l.Host("a", Link{}), l.Host("b", Link{})
	to := echo(t, b, 7)
	from := listen(t, a, 5000)
	if got := ask(t, from, to, plenty); got != netip.AddrPortFrom(a.Addr(), 5000).String() {
		t.Fatalf("b saw %q", got)
	}
	if got := ask(t, from, netip.MustParseAddrPort("127.0.0.1:7"), little); got != "" {
		t.Fatalf("a's loopback answered %q", got)
	}
	if got := ask(t, from, netip.MustParseAddrPort("11.77.0.1:7"), little); got != "" {
		t.Fatalf("nobody answered %q", got)
	}
	if passed, dropped := l.Packets(); passed == 0 || dropped == 0 {
		t.Errorf("%d packets passed, %d were dropped", passed, dropped)
	}
}

func TestLinksDelayBothWays(t *testing.T) {
	l := New(t)
	a, b := l.Host("a", Link{Delay: 20 * time.Millisecond}), l.Host("b", Link{Delay: 10 * time.Millisecond, Jitter: time.Millisecond})
	to, from := echo(t, b, 7), listen(t, a, 5000)
	start := time.Now()
	if ask(t, from, to, plenty) == "" {
		t.Fatal("no answer")
	}
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("a round trip took %v, want at least 60 ms", took)
	}
	a.SetLink(Link{})
	b.SetLink(Link{})
	if ask(t, from, to, plenty) == "" {
		t.Fatal("no answer over the changed link")
	}
}

func TestLinksLoseTheirPart(t *testing.T) {
	p := newPipe(&Lab{}, Link{Loss: 0.25}, 1, nil)
	var lost int
	for range 10_000 {
		if _, _, ok := p.schedule(100); !ok {
			lost++
		}
	}
	if lost < 2300 || lost > 2700 {
		t.Errorf("%d of 10,000 lost, want a quarter", lost)
	}
}

func TestRateSpacesPacketsAndDropsWhatDoesNotFitTheQueue(t *testing.T) {
	p := newPipe(&Lab{}, Link{Rate: 1 << 20, Queue: 10 << 10}, 1, nil)
	first, _, _ := p.schedule(1 << 10)
	for range 8 {
		if _, _, ok := p.schedule(1 << 10); !ok {
			t.Fatal("dropped, although there is room")
		}
	}
	last, _, ok := p.schedule(1 << 10)
	if spaced := last.Sub(first); ok && spaced.Round(time.Millisecond) != 9*time.Millisecond {
		t.Errorf("the tenth KiB at 1 MiB/s is %v behind the first", spaced)
	}
	var dropped bool
	for range 1000 {
		_, _, ok := p.schedule(1 << 10)
		dropped = dropped || !ok
	}
	if !dropped {
		t.Error("1 MB waits in a queue of 10 KB")
	}
}

func TestPartitionStopsEverythingUntilHealed(t *testing.T) {
	l := New(t)
	a, b, c := l.Host("a", Link{}), l.Host("b", Link{}), l.Host("c", Link{})
	to, other, from := echo(t, b, 7), echo(t, c, 7), listen(t, a, 5000)
	l.Partition("a", "b")
	if got := ask(t, from, to, little); got != "" {
		t.Errorf("%q came through a partition", got)
	}
	if ask(t, from, other, plenty) == "" {
		t.Error("a third host is cut off too")
	}
	l.Heal("b", "a")
	if ask(t, from, to, plenty) == "" {
		t.Error("no answer after the partition")
	}
}

func TestConeNATKeepsOnePortAndLetsInWhoWasSpokenTo(t *testing.T) {
	l := New(t)
	b, c, d := l.Host("b", Link{}), l.Host("c", Link{}), l.Host("d", Link{})
	nat := l.NAT(Cone)
	a := nat.Host("a", Link{})
	from := listen(t, a, 5000)
	first, second := ask(t, from, echo(t, b, 7), plenty), ask(t, from, echo(t, c, 7), plenty)
	if want := netip.AddrPortFrom(nat.Addr(), 5000).String(); first != want || second != want {
		t.Fatalf("seen as %s and %s, want %s", first, second, want)
	}
	outside := netip.AddrPortFrom(nat.Addr(), 5000)
	ask(t, listen(t, c, 9000), outside, time.Millisecond)
	if hear(t, from, plenty) == "" {
		t.Error("another port of a host that was spoken to is not let in")
	}
	ask(t, listen(t, d, 9000), outside, time.Millisecond)
	if hear(t, from, little) != "" {
		t.Error("a stranger is let in")
	}
}

func TestSymmetricNATTakesAPortForEachPeer(t *testing.T) {
	l := New(t)
	b, c := l.Host("b", Link{}), l.Host("c", Link{})
	nat := l.NAT(Symmetric)
	from := listen(t, nat.Host("a", Link{}), 5000)
	first, second := ask(t, from, echo(t, b, 7), plenty), ask(t, from, echo(t, c, 7), plenty)
	if first == "" || second == "" || first == second {
		t.Fatalf("seen as %q and %q", first, second)
	}
	ask(t, listen(t, b, 9000), netip.MustParseAddrPort(first), time.Millisecond)
	if hear(t, from, little) != "" {
		t.Error("another port of the peer is let in")
	}
}

func TestTCPPassesNATAndSurvivesLoss(t *testing.T) {
	l := New(t)
	server := l.Host("server", Link{Delay: time.Millisecond, Loss: 0.02})
	client := l.NAT(PortRestricted).Host("client", Link{Delay: time.Millisecond})
	const size = 1 << 20
	if n, err := transfer(t, client, server, size); err != nil || n != size {
		t.Fatalf("%d bytes: %v", n, err)
	}
}

// transfer sends n bytes by TCP and returns how many came.
func transfer(t testing.TB, from, to *Host, n int64) (int64, error) {
	t.Helper()
	var l net.Listener
	if err := to.Do(func() (err error) {
		l, err = net.Listen("tcp4", ":80")
		return err
	}); err != nil {
		return 0, err
	}
	defer l.Close()
	go func() {
		from.Do(func() error {
			c, err := net.Dial("tcp4", fmt.Sprintf("%s:80", to.Addr()))
			if err != nil {
				l.Close()
				return err
			}
			go func() {
				defer c.Close()
				io.CopyN(c, zeros{}, n)
			}()
			return nil
		})
	}()
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return io.Copy(io.Discard, c)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestProgramsRunOnTheirHost(t *testing.T) {
	l := New(t)
	h := l.Host("a", Link{})
	var out strings.Builder
	c := h.Command(t.Context(), "cat", "/proc/self/net/dev")
	c.Stdout = &out
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "eth0:") || strings.Count(s, ":") != 2 {
		t.Errorf("the program sees\n%s", s)
	}
}

func TestEverythingEndsWithTheTest(t *testing.T) {
	var left *Cmd
	t.Run("inner", func(t *testing.T) {
		l := New(t)
		h := l.Host("a", Link{Delay: time.Millisecond})
		left = h.Command(t.Context(), "sleep", "1000")
		if err := left.Start(); err != nil {
			t.Fatal(err)
		}
	})
	if left == nil {
		t.Skip("no namespaces here")
	}
	if left.ProcessState == nil {
		t.Error("a program is still running")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(plenty); ; {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		if !strings.Contains(stacks.String(), "netlab.(*Host)") && !strings.Contains(stacks.String(), "netlab.(*pipe)") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still running:\n%s", stacks.String())
		}
	}
}

// BenchmarkTCP says what the userspace routers can carry.
func BenchmarkTCP(b *testing.B) {
	for name, link := range map[string]Link{"direct": {}, "delayed": {Delay: time.Millisecond}} {
		b.Run(name, func(b *testing.B) {
			l := New(b)
			x, y := l.Host("x", link), l.Host("y", link)
			const size = 64 << 20
			b.SetBytes(size)
			for b.Loop() {
				if n, err := transfer(b, x, y, size); err != nil || n != size {
					b.Fatalf("%d bytes: %v", n, err)
				}
			}
		})
	}
}
