package natsbridge

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// relay passes a connection on until it is stalled: then nothing comes through any more,
// and nobody is told, as when a cable is pulled.
type relay struct {
	url     string
	stalled chan struct{}
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{"nats://" + l.Addr().String(), make(chan struct{})}
	var mu sync.Mutex
	var open []net.Conn
	pass := func(from, to net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-r.stalled: // it is read, and goes nowhere
				continue
			default:
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			running.Go(func() { pass(in, out) })
			running.Go(func() { pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return r
}

func TestAQueueThatIsCutOffAnswersNothing(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePorts(t, 1)[0]
	at := func(o *server.Options) { o.Port = port }
	s := startServer(t, dir, at)
	far := newRelay(t, s.Addr().String())
	near, behind := dialTest(t, s.ClientURL()), dialTest(t, far.url)
	answer := func(ctx context.Context, c *Conn) error {
		_, err := c.Jobs(ctx, 1)
		return err
	}
	for _, c := range []*Conn{near, behind} {
		if err := answer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	close(far.stalled)
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if err := answer(soon(), behind); err == nil || !behind.Connected() {
		t.Errorf("behind a cable that was pulled, connected %v: %v", behind.Connected(), err)
	}
	if err := near.js.DeleteStream(t.Context(), newNames(DefaultNetwork).stream(streamJobs)); err != nil {
		t.Fatal(err)
	}
	if err := answer(t.Context(), near); err != nil {
		t.Errorf("a queue that was lost is not made anew: %v", err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	if err := answer(soon(), near); err == nil {
		t.Error("a server that is away answers")
	}
	startServer(t, dir, at)
	until(t, "it answers again", func() bool { return answer(t.Context(), near) == nil })
}
