package stream_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// link is a TCP proxy on loopback in whose two directions bytes come after
// delay, and no faster than rate bytes per second, as over a long thin line.
// Its queues hold 128 KiB each way.
type link struct {
	listener net.Listener
	to       string
	delay    time.Duration
	rate     int
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func newLink(t testing.TB, to string, delay time.Duration, rate int) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{listener: l, to: to, delay: delay, rate: rate}
	k.running.Go(k.accept)
	t.Cleanup(k.close)
	return k
}

func (k *link) port() int { return k.listener.Addr().(*net.TCPAddr).Port }

func (k *link) close() {
	k.listener.Close()
	k.mu.Lock()
	for _, c := range k.conns {
		c.Close()
	}
	k.mu.Unlock()
	k.running.Wait()
}

func (k *link) accept() {
	for {
		a, err := k.listener.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", k.to)
		if err != nil {
			a.Close()
			continue
		}
		k.mu.Lock()
		k.conns = append(k.conns, a, b)
		k.mu.Unlock()
		k.pipe(a, b)
		k.pipe(b, a)
	}
}

type packet struct {
	data []byte
	due  time.Time
}

// pipe carries what comes from one end to the other.
func (k *link) pipe(from, to net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	queue := make(chan packet, 32+int(float64(k.rate)*k.delay.Seconds())/4096)
	k.running.Go(func() {
		defer close(queue)
		free := time.Now() // when the line has sent what it took
		for {
			buf := make([]byte, 4096)
			n, err := from.Read(buf)
			if n > 0 {
				if now := time.Now(); free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(n) * time.Second / time.Duration(k.rate))
				select {
				case queue <- packet{buf[:n], free.Add(k.delay)}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	k.running.Go(func() {
		defer cancel()
		defer to.Close()
		defer from.Close()
		for p := range queue {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil && err != io.ErrShortWrite {
				return
			}
		}
	})
}
