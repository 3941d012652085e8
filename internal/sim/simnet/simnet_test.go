package simnet

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	chat  protocol.ID = "/chat"
	gram  protocol.ID = "/gram" // loses
	delay             = 50 * time.Millisecond
)

// pair is two connected hosts, and what the second one hears.
type pair struct {
	t    *testing.T
	net  *Net
	a, b *Host
	got  chan network.Stream
}

func join(t *testing.T, n *Net, name peer.ID, number int) *Host {
	t.Helper()
	h, err := n.Join(name, number, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newPair(t *testing.T, loss float64) *pair {
	t.Helper()
	n := New(Config{
		Loss: loss, Lossy: func(p protocol.ID) bool { return p == gram }, Uplink: 100_000, Silence: 30 * time.Second,
		Latency: func(int, int) time.Duration { return delay },
	})
	p := &pair{t: t, net: n, a: join(t, n, "a", 0), b: join(t, n, "b", 1), got: make(chan network.Stream, 100)}
	for _, proto := range []protocol.ID{chat, gram} {
		p.b.SetStreamHandler(proto, func(s network.Stream) { p.got <- s })
	}
	if err := p.a.Connect(t.Context(), p.b.Info()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) stream(proto protocol.ID) (near, far network.Stream) {
	p.t.Helper()
	near, err := p.a.NewStream(p.t.Context(), "b", proto)
	if err != nil {
		p.t.Fatal(err)
	}
	return near, <-p.got
}

func TestWhatIsWrittenArrivesInOrderAfterTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := newPair(t, 0).stream(chat)
		begin := time.Now()
		for _, s := range []string{"one ", "two ", "three"} {
			if _, err := near.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		if err := near.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(far)
		if err != nil || string(data) != "one two three" {
			t.Errorf("%q, %v", data, err)
		}
		if took := time.Since(begin); took < delay || took > 2*delay {
			t.Errorf("took %s", took)
		}
	})
}

func TestLossTakesMessagesWholeOrMakesThemLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 0.3)
		for _, proto := range []protocol.ID{chat, gram} {
			near, far := p.stream(proto)
			begin := time.Now()
			for i := range 100 {
				if _, err := near.Write([]byte{byte(i), byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			_ = near.CloseWrite()
			data, err := io.ReadAll(far)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(data); i += 2 {
				if data[i] != data[i+1] {
					t.Fatalf("%s: half a message at %d", proto, i)
				}
			}
			late := time.Since(begin) > delay+firstResend
			if proto == chat && (len(data) != 200 || !late) {
				t.Errorf("%d bytes, late %v", len(data), late)
			}
			if proto == gram && (len(data) > 180 || len(data) < 80 || late) {
				t.Errorf("%d bytes of messages that are lost, late %v", len(data), late)
			}
		}
	})
}

func TestANarrowUplinkAndASlowReaderHoldTheWriterUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := newPair(t, 0).stream(chat)
		begin := time.Now()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		for range 50 {
			if _, err := near.Write(make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took < 3*time.Second || took > 6*time.Second {
			t.Errorf("500 kB at 100 kB/s took %s", took)
		}
		near, far = newPair(t, 0).stream(chat)
		_ = near.SetWriteDeadline(time.Now().Add(time.Minute))
		var err error
		for err == nil { // nobody reads
			_, err = near.Write(make([]byte, 10_000))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		_ = far.Reset()
	})
}

func TestDeadlinesAndResetsWakeTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := newPair(t, 0).stream(chat)
		_ = far.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		_ = far.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { _ = near.Reset() })
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
			t.Error(err)
		}
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("wrote to a stream that was reset")
		}
	})
}

func TestWhoVanishesIsMissedLaterThanWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, suddenly := range []bool{false, true} {
			p := newPair(t, 0)
			lost, err := p.a.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
			if err != nil {
				t.Fatal(err)
			}
			near, _ := p.stream(chat)
			begin := time.Now()
			if suddenly {
				p.b.Vanish()
			} else {
				_ = p.b.Close()
			}
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
				t.Error(err)
			}
			if took := time.Since(begin); suddenly != (took > 10*time.Second) {
				t.Errorf("suddenly %v: missed after %s", suddenly, took)
			}
			for e := range lost.Out() {
				if e.(event.EvtPeerConnectednessChanged).Connectedness == network.NotConnected {
					break
				}
			}
			_ = lost.Close()
			if c := p.a.Network().Connectedness("b"); c != network.NotConnected {
				t.Error(c)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := p.a.Connect(ctx, p.b.Info()); !errors.Is(err, errUnreachable) {
				t.Error(err)
			}
			cancel()
		}
	})
}

func TestWhoComesBackReplacesItsOldConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 0)
		near, _ := p.stream(chat)
		p.b.Vanish()
		b := join(t, p.net, "b", 1)
		b.SetStreamHandler(chat, func(s network.Stream) { p.got <- s })
		if err := b.Connect(t.Context(), p.a.Info()); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the old one is missed, and the new one stays
		near, far := p.stream(chat)
		if _, err := near.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := far.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n := len(b.Network().Peers()); n != 1 {
			t.Errorf("%d peers", n)
		}
	})
}

func TestABrokenConnectionEndsForBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 0)
		near, far := p.stream(gram)
		p.a.Break(func(int) int { return 0 })
		for _, s := range []network.Stream{near, far} {
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
				t.Error(err)
			}
		}
		if err := p.b.Connect(t.Context(), p.a.Info()); err != nil {
			t.Error(err)
		}
	})
}
