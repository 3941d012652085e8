package tracker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

var errRefused = errors.New("connection refused")

// fakeDialer is a network of one peer that is up or down.
type fakeDialer struct {
	mu        sync.Mutex
	up        bool            // guarded by mu
	connected bool            // guarded by mu
	dials     []time.Duration // guarded by mu: since begin
	begin     time.Time
}

func (d *fakeDialer) Dial(context.Context, peer.AddrInfo) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials = append(d.dials, time.Since(d.begin))
	if !d.up {
		return errRefused
	}
	d.connected = true
	return nil
}

func (d *fakeDialer) Connected(peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connected
}

func (d *fakeDialer) set(up, connected bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up, d.connected = up, connected
}

func (d *fakeDialer) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dials)
}

// pass lets fake time go by, and everything that is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

type eventLog struct {
	mu   sync.Mutex
	list []Event // guarded by mu
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *eventLog) kinds() []Kind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Kind
	for _, e := range l.list {
		out = append(out, e.Kind)
	}
	return out
}

func (l *eventLog) want(t *testing.T, want ...Kind) {
	t.Helper()
	if got := l.kinds(); !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
}

const peerA, peerB = peer.ID("peer-a"), peer.ID("peer-b")

func addrA() []ma.Multiaddr { return []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/1")} }

// runKeeper keeps peerA, in a synctest bubble.
func runKeeper(t *testing.T) (k *keeper, d *fakeDialer, log *eventLog, stop func()) {
	d, log = &fakeDialer{begin: time.Now()}, &eventLog{}
	k = &keeper{self: "self", dialer: d, onEvent: log.add, jitter: func() float64 { return 0.5 }, peers: make(map[peer.ID]*kept)}
	if err := k.add(peer.AddrInfo{ID: peerA, Addrs: addrA()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait := k.startAll(ctx)
	return k, d, log, func() { cancel(); wait() }
}

func TestOutageIsToldOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log, stop := runKeeper(t)
		defer stop()
		pass(time.Hour)
		log.want(t, Unreachable)
		if e := log.list[0]; e.Peer != peerA || !errors.Is(e.Err, errRefused) || !e.Addrs[0].Equal(addrA()[0]) {
			t.Errorf("told %v", e)
		}
		if s := k.status(); len(s) != 1 || s[0].Connected || !errors.Is(s[0].Err, errRefused) {
			t.Errorf("status %v", s)
		}
		d.set(true, false)
		pass(redialMax)
		log.want(t, Unreachable, Connected)
		if s := k.status(); !s[0].Connected || s[0].Err != nil {
			t.Errorf("status %v", s)
		}
		d.set(false, false)
		k.changed(peerA)
		pass(time.Hour)
		log.want(t, Unreachable, Connected, Unreachable)
	})
}

func TestDialsOfADeadPeerBecomeRareButDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, d, _, stop := runKeeper(t)
		defer stop()
		pass(time.Hour)
		if n := d.count(); n < 12 || n > 40 {
			t.Fatalf("%d dials in an hour", n)
		}
		for i := 1; i < len(d.dials); i++ {
			if gap := d.dials[i] - d.dials[i-1]; gap < redialMin/2 || gap > redialMax {
				t.Fatalf("dials at %v", d.dials)
			}
		}
		before := d.count()
		pass(2 * redialMax)
		if d.count() == before {
			t.Fatal("given up")
		}
	})
}

func TestLostConnectionIsDialledAgainSoonAndQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log, stop := runKeeper(t)
		defer stop()
		synctest.Wait() // the first dial fails
		d.set(true, false)
		pass(time.Hour)
		d.set(true, false) // lost, but the peer is there
		k.changed(peerA)
		before := d.count()
		pass(2 * redialMin)
		if d.count() != before+1 {
			t.Fatalf("%d dials", d.count()-before)
		}
		log.want(t, Unreachable, Connected)
	})
}

func TestPeerThatDropsEveryConnectionIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, _, stop := runKeeper(t)
		defer stop()
		d.set(true, false)
		for range 600 {
			pass(time.Second)
			d.set(true, false)
			k.changed(peerA)
		}
		if n := d.count(); n > 15 {
			t.Fatalf("%d dials in ten minutes", n)
		}
	})
}

func TestConnectionFromThePeerEndsTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log, stop := runKeeper(t)
		defer stop()
		pass(time.Hour)
		d.set(true, true)
		k.changed(peerA)
		synctest.Wait()
		log.want(t, Unreachable, Connected)
	})
}

func TestNewAddressIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, _, stop := runKeeper(t)
		defer stop()
		pass(time.Hour)
		before := d.count()
		if err := k.add(peer.AddrInfo{ID: peerA, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.2/tcp/1")}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.count() != before+1 {
			t.Fatalf("%d dials", d.count()-before)
		}
		if got := k.list(); len(got) != 1 || len(got[0].Addrs) != 2 {
			t.Fatalf("peers %v", got)
		}
	})
}

func TestPeerAddedWhileRunningIsDialledAndSelfIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, _, stop := runKeeper(t)
		defer stop()
		d.set(true, false)
		synctest.Wait()
		before := d.count()
		if err := k.add(peer.AddrInfo{ID: "self", Addrs: addrA()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.count() != before || len(k.list()) != 1 {
			t.Fatal("keeps a connection to itself")
		}
		if err := k.add(peer.AddrInfo{ID: peerB, Addrs: addrA()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.count() != before+1 {
			t.Fatalf("%d dials", d.count()-before)
		}
	})
}

func TestTooManyStaticPeersAreRefused(t *testing.T) {
	k := &keeper{self: "self", peers: make(map[peer.ID]*kept)}
	var err error
	for i := range MaxStatic + 1 {
		err = k.add(peer.AddrInfo{ID: peer.ID(testKey(i).String())})
	}
	if !errors.Is(err, ErrTooMany) || len(k.list()) != MaxStatic {
		t.Fatalf("%d peers, %v", len(k.list()), err)
	}
	if err := k.add(peer.AddrInfo{}); err == nil {
		t.Fatal("a peer without id was accepted")
	}
}

func TestAddressesOfOnePeerAreBoundedAndTheNewestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, _, stop := runKeeper(t)
		defer stop()
		pass(time.Hour)
		var last ma.Multiaddr
		for port := range 10 * maxAddrs {
			last = ma.StringCast("/ip4/10.0.0.2/tcp/" + strconv.Itoa(port+1))
			if err := k.add(peer.AddrInfo{ID: peerA, Addrs: []ma.Multiaddr{last}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		before := d.count()
		got := k.list()[0].Addrs
		if len(got) != maxAddrs || !got[maxAddrs-1].Equal(last) {
			t.Errorf("%d addresses, the last %v", len(got), got[len(got)-1])
		}
		// A full list still hears of a new address, and dials it at once.
		if err := k.add(peer.AddrInfo{ID: peerA, Addrs: addrA()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := d.count(); n != before+1 {
			t.Errorf("%d dials for a new address", n-before)
		}
	})
}
