package exchange

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
)

// pipe is a stream in memory, for tests under a fake clock.
type pipe struct{ net.Conn }

func (p pipe) ResetWithError(network.StreamErrorCode) error { return p.Close() }

// far is the test's end of a pipe, with deadlines of no interest here.
type far struct {
	t  *testing.T
	s  net.Conn
	fr *frameReader
}

func newFar(t *testing.T) (far, pipe) {
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close() })
	return far{t, mine, newFrameReader(mine, func() {})}, pipe{theirs}
}

func (f far) send(frames ...frame) error {
	var b []byte
	for _, fr := range frames {
		b = appendFrame(b, fr)
	}
	_, err := f.s.Write(b)
	return err
}

func (f far) next() frame {
	f.t.Helper()
	got, err := f.fr.next()
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

// pause lets fake time pass.
func pause(d time.Duration) { <-time.After(d) }

// newPiped is an exchange without a network. It is closed when the test ends.
func newPiped(t *testing.T, cfg Config) *Exchange {
	t.Helper()
	cfg.Host = struct{ host.Host }{}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pipeFrom lets a peer of that name open a stream to e, the handshake done.
func (e *Exchange) pipeFrom(t *testing.T, name string) far {
	t.Helper()
	f, s := newFar(t)
	go e.serve(s, peer.ID(name))
	f.send(frame{typ: typeHandshake, version: version})
	if got := f.next(); got.typ != typeHandshakeAck {
		t.Fatalf("got %v for a handshake", got.typ)
	}
	return f
}

// pipeTo is a Get from a peer at the other end of a pipe, the handshake and
// the reading of the REQUEST done. got tells how it ended.
func (e *Exchange) pipeTo(t *testing.T, id blobnet.ID) (f far, req uint32, got <-chan error) {
	t.Helper()
	f, s := newFar(t)
	p := e.Peer("server")
	l := newLink(s, p.Name(), &e.cfg, &e.proofs, func([]blobnet.ID) {})
	p.c.links = append(p.c.links, l)
	e.running.Go(func() { p.c.run(l) })
	ended := make(chan error, 1)
	go func() {
		_, err := p.Get(context.Background(), id, nil)
		ended <- err
	}()
	if got := f.next(); got.typ != typeHandshake {
		t.Fatalf("got %v", got.typ)
	}
	f.send(frame{typ: typeHandshakeAck, version: version, requests: 16})
	r := f.next()
	if r.typ != typeRequest {
		t.Fatalf("got %v", r.typ)
	}
	return f, r.req, ended
}
