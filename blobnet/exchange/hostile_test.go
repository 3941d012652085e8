package exchange

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/anonymous-media-library/aml/blobnet"
)

// hostileServer serves the protocol by a function of the test.
func hostileServer(t *testing.T, cfg Config, serve func(*raw, frame)) (*Peer, *events) {
	t.Helper()
	from, to := newPair(t)
	if err := from.Connect(t.Context(), to.Peerstore().PeerInfo(to.ID())); err != nil {
		t.Fatal(err) // not in the little time that the test gives to streams
	}
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	to.SetStreamHandler(Protocol, func(s network.Stream) {
		r := newRaw(t, s)
		if f, err := r.fr.next(); err != nil || f.typ != typeHandshake {
			return
		}
		r.send(frame{typ: typeHandshakeAck, version: version, requests: 16})
		f, err := r.fr.next()
		if err != nil {
			return
		}
		serve(r, f)
		<-over // it never closes
		s.Reset()
	})
	ev := newEvents()
	cfg.Host, cfg.OnEvent = from, ev.add
	cfg.StallTimeout = 300 * time.Millisecond
	e := start(t, cfg)
	return e.Peer(to.ID()), ev
}

func TestMisbehavingServerIsToldFromAFailingOne(t *testing.T) {
	blob := randomBlob(300_000, 1)
	part := func(f frame, offset, size int) frame {
		return frame{typ: typeResponse, req: f.req, offset: uint32(offset), length: uint32(len(blob)), data: blob[offset : offset+size]}
	}
	tests := []struct {
		name  string
		want  error
		serve func(*raw, frame)
	}{
		{"garbage", ErrProtocol, func(r *raw, f frame) { r.s.Write(randomBlob(1<<20, 9)) }},
		{"oversized length", ErrProtocol, func(r *raw, f frame) { r.s.Write([]byte{0xff, 0xff, 0xff, 0xff, byte(typeResponse)}) }},
		{"length zero", ErrProtocol, func(r *raw, f frame) { r.s.Write(make([]byte, 5)) }},
		{"wrong bytes", blobnet.ErrCorrupt, func(r *raw, f frame) {
			r.send(frame{typ: typeResponse, req: f.req, length: 4, data: []byte("evil")})
		}},
		{"unsolicited response", ErrProtocol, func(r *raw, f frame) {
			f.req += 5
			r.send(part(f, 0, 1000))
		}},
		{"announces too much", ErrProtocol, func(r *raw, f frame) {
			r.send(frame{typ: typeResponse, req: f.req, length: blobnet.MaxBlobSize + 1, data: []byte("x")})
		}},
		{"changes the size", ErrProtocol, func(r *raw, f frame) {
			second := part(f, 1000, 1000)
			second.length++
			r.send(part(f, 0, 1000), second)
		}},
		{"skips bytes", ErrProtocol, func(r *raw, f frame) { r.send(part(f, 0, 1000), part(f, 2000, 1000)) }},
		{"repeats bytes", ErrProtocol, func(r *raw, f frame) { r.send(part(f, 0, 1000), part(f, 0, 1000)) }},
		{"endless empty frames", ErrProtocol, func(r *raw, f frame) { r.send(part(f, 0, 0), part(f, 0, 0)) }},
		{"beyond the end", ErrProtocol, func(r *raw, f frame) {
			r.send(frame{typ: typeResponse, req: f.req, length: 2, data: []byte("abc")})
		}},
		{"unknown flags", ErrProtocol, func(r *raw, f frame) {
			r.send(frame{typ: typeResponse, req: f.req, flags: 2, length: 1, data: []byte("x")})
		}},
		{"proof that nobody asked for", ErrProtocol, func(r *raw, f frame) {
			r.send(frame{typ: typeResponse, req: f.req, flags: flagProof, length: 1, data: []byte("x")})
		}},
		{"requests of its own", ErrProtocol, func(r *raw, f frame) { r.send(frame{typ: typeRequest, req: 1}) }},
		{"answers twice", ErrProtocol, func(r *raw, f frame) {
			r.send(part(f, 0, 1000), frame{typ: typeNotFound, req: f.req + 1})
		}},
		{"flood of HAVE", ErrProtocol, func(r *raw, f frame) {
			flood := make([]frame, 500)
			for i := range flood {
				flood[i] = frame{typ: typeHave, ids: make([]blobnet.ID, 1)}
			}
			for r.send(flood...) == nil {
			}
		}},
		{"stops in mid-blob", ErrStalled, func(r *raw, f frame) { r.send(part(f, 0, 1000)) }},
		{"stops in mid-frame", ErrStalled, func(r *raw, f frame) {
			b := appendFrame(nil, part(f, 0, 1000))
			r.s.Write(b[:500])
		}},
		{"never answers", ErrStalled, func(r *raw, f frame) {}},
		{"resets", ErrLost, func(r *raw, f frame) { r.s.Reset() }},
		{"closes in mid-frame", ErrLost, func(r *raw, f frame) {
			b := appendFrame(nil, part(f, 0, 1000))
			r.s.Write(b[:500])
			r.s.Close()
		}},
		{"closes in order", ErrLost, func(r *raw, f frame) { r.s.Close() }},
		{"is busy", blobnet.ErrBusy, func(r *raw, f frame) { r.send(frame{typ: typeBusy, req: f.req, retry: 1 << 31}) }},
		{"refuses", ErrRefused, func(r *raw, f frame) {
			r.send(frame{typ: typeError, req: f.req, code: codeInternal, text: "no"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, ev := hostileServer(t, Config{}, tt.serve)
			_, err := p.Get(t.Context(), blobnet.Sum(blob), nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			var mis *MisbehaviourError
			bad := tt.want == ErrProtocol || tt.want == blobnet.ErrCorrupt
			if errors.As(err, &mis) != bad {
				t.Errorf("misbehaviour is not told from failure: %v", err)
			}
			if bad {
				if got := ev.wait(t, KindMisbehaviour); got.Peer != p.ID() || got.Err == nil {
					t.Errorf("event %+v", got)
				}
			}
		})
	}
}

func TestWrongBytesOfOneBlobAreTheOffenceOfThatOneAlone(t *testing.T) {
	bad, good := randomBlob(1000, 1), randomBlob(1000, 2)
	asked := make(chan struct{}, 1)
	p, ev := hostileServer(t, Config{Streams: 1}, func(r *raw, f frame) {
		if f.id == blobnet.Sum(good) { // once more, on another stream
			r.send(frame{typ: typeResponse, req: f.req, length: 1000, data: good})
			return
		}
		asked <- struct{}{}
		if _, err := r.fr.next(); err != nil {
			return
		}
		r.send(frame{typ: typeResponse, req: f.req, length: 4, data: []byte("evil")})
		_, err := r.fr.next()
		if reset := (*network.StreamError)(nil); !errors.As(err, &reset) || reset.ErrorCode != network.StreamProtocolViolation {
			t.Errorf("the stream ended with %v", err)
		}
		asked <- struct{}{}
	})
	wrong := make(chan error, 1)
	go func() {
		_, err := p.Get(context.Background(), blobnet.Sum(bad), nil)
		wrong <- err
	}()
	<-asked
	if got, err := p.Get(t.Context(), blobnet.Sum(good), nil); err != nil || blobnet.Sum(got) != blobnet.Sum(good) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-wrong; !errors.Is(err, blobnet.ErrCorrupt) || !misbehaved(err) {
		t.Errorf("wrong bytes gave %v", err)
	}
	<-asked
	if n := ev.count(KindMisbehaviour); n != 1 {
		t.Errorf("%d offences were told", n)
	}
}

func TestServerThatNeverHandshakesStalls(t *testing.T) {
	from, to := newPair(t)
	over := make(chan struct{})
	defer close(over)
	to.SetStreamHandler(Protocol, func(s network.Stream) { <-over; s.Reset() })
	p := start(t, Config{Host: from, StallTimeout: 200 * time.Millisecond}).Peer(to.ID())
	if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
}

func TestRequestThatIsPassedOverForeverStalls(t *testing.T) {
	p, _ := hostileServer(t, Config{Streams: 1}, func(r *raw, f frame) {
		// Blob 1 is never spoken of, all others are answered at once.
		for err := error(nil); err == nil; f, err = r.fr.next() {
			if f.typ == typeRequest && f.id != (blobnet.ID{1}) {
				r.send(frame{typ: typeNotFound, req: f.req})
			}
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := p.Get(t.Context(), blobnet.ID{1}, nil)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
			return
		default:
			if _, err := p.Get(t.Context(), blobnet.ID{2}, nil); !errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, ErrStalled) {
				t.Errorf("other request: %v", err)
			}
		}
	}
}

func TestCancelInMidFrameNeitherWaitsForThePeerNorWritesToDstLater(t *testing.T) {
	sent := make(chan struct{})
	rest := make(chan struct{})
	blob := randomBlob(5000, 1)
	p, _ := hostileServer(t, Config{}, func(r *raw, f frame) {
		b := appendFrame(nil, frame{typ: typeResponse, req: f.req, length: 5000, data: blob})
		r.s.Write(b[:3000])
		close(sent)
		<-rest
		r.s.Write(b[3000:])
	})
	p.c.e.cfg.StallTimeout = time.Minute
	dst := make([]byte, 0, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-sent
		cancel()
	}()
	// The rest is not sent before Get has returned: only a Get that waits for
	// it would not.
	if _, err := p.Get(ctx, blobnet.Sum(blob), dst); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	clear(dst[:cap(dst)]) // the race detector sees a write from elsewhere
	close(rest)
}

// hostileClient gives a raw stream to an exchange that serves store.
func hostileClient(t *testing.T, cfg Config) (*raw, *events) {
	t.Helper()
	from, to := newPair(t)
	ev := newEvents()
	cfg.Host, cfg.OnEvent = to, ev.add
	start(t, cfg)
	return dial(t, from, to), ev
}

func TestMisbehavingClientIsCutOff(t *testing.T) {
	hello := frame{typ: typeHandshake, version: version}
	tests := []struct {
		name string
		send func(*raw)
	}{
		{"garbage", func(r *raw) { r.s.Write(randomBlob(1<<20, 9)) }},
		{"request before handshake", func(r *raw) { r.send(frame{typ: typeRequest, req: 1}) }},
		{"version 9", func(r *raw) { r.send(frame{typ: typeHandshake, version: 9}) }},
		{"second handshake", func(r *raw) { r.send(hello, hello) }},
		{"response", func(r *raw) { r.send(hello, frame{typ: typeResponse, req: 1}) }},
		{"oversized length", func(r *raw) {
			r.send(hello)
			r.s.Write([]byte{0x7f, 0xff, 0xff, 0xff, byte(typeWant)})
		}},
		{"unknown type", func(r *raw) {
			r.send(hello)
			r.s.Write([]byte{0, 0, 0, 1, 77})
		}},
		{"request id 0", func(r *raw) { r.send(hello, frame{typ: typeRequest}) }},
		{"request id in use", func(r *raw) {
			r.send(hello, frame{typ: typeRequest, req: 1}, frame{typ: typeRequest, req: 1})
		}},
		{"id in use for WANT", func(r *raw) {
			r.send(hello, frame{typ: typeRequest, req: 1}, frame{typ: typeWant, req: 1, ids: make([]blobnet.ID, 1)})
		}},
		{"flood of ERROR", func(r *raw) {
			r.send(hello)
			for r.send(frame{typ: typeError}) == nil {
			}
		}},
		{"answer to nothing", func(r *raw) { r.send(hello, frame{typ: typeHas, req: 4, has: []byte{0}}) }},
		{"flood of CANCEL", func(r *raw) {
			r.send(hello)
			for r.send(frame{typ: typeCancel, req: 4}) == nil {
			}
		}},
		{"flood of REQUEST", func(r *raw) {
			r.send(hello)
			for i := uint32(1); r.send(frame{typ: typeRequest, req: i}) == nil; i++ {
			}
		}},
		{"flood of HAVE", func(r *raw) {
			r.send(hello)
			for r.send(frame{typ: typeHave, ids: make([]blobnet.ID, maxIDs)}) == nil {
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := newTestStore()
			store.block = make(chan struct{}) // so that requests stay open
			r, ev := hostileClient(t, Config{Store: store})
			tt.send(r)
			if err := r.ended(); err == nil || err == io.EOF {
				t.Errorf("stream ended with %v, want a reset", err)
			}
			if got := ev.wait(t, KindMisbehaviour); !errors.Is(got.Err, ErrProtocol) {
				t.Errorf("event %+v", got)
			}
		})
	}
}

func TestUnknownFlagsAndRangesAreRefusedAndTheStreamGoesOn(t *testing.T) {
	blob := []byte("some bytes")
	r, _ := hostileClient(t, Config{Store: newTestStore(blob)})
	r.hello()
	id := blobnet.Sum(blob)
	r.send(frame{typ: typeRequest, req: 1, id: id, flags: 2},
		frame{typ: typeRequest, req: 2, id: id, offset: 1},
		frame{typ: typeRequest, req: 3, id: id, length: 1})
	for want := uint32(1); want <= 3; want++ {
		if f := r.next(); f.typ != typeError || f.req != want || f.code != codeUnsupported {
			t.Errorf("request %d: got %+v", want, f)
		}
	}
	r.send(frame{typ: typeRequest, req: 1, id: id})
	if f := r.next(); f.typ != typeResponse || f.req != 1 || int(f.length) != len(blob) {
		t.Errorf("got %+v", f)
	}
}

func TestCancelStopsAfterTheFrameThatIsBeingSent(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	r, ev := hostileClient(t, Config{Store: newTestStore(blob)})
	r.hello()
	r.send(frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)})
	r.next()
	r.send(frame{typ: typeCancel, req: 1})
	// The client reads on only when the server has heard of it: by WANT's
	// answer, which goes ahead of blobs.
	r.send(frame{typ: typeWant, req: 2, ids: []blobnet.ID{{1}}})
	got := 0
	for {
		f := r.next()
		got += f.size
		if f.typ == typeError {
			if f.req != 1 || f.code != codeCancelled {
				t.Errorf("got %+v", f)
			}
			break
		}
	}
	if got > blobnet.MaxBlobSize/2 {
		t.Errorf("%d bytes came after CANCEL", got)
	}
	if e := ev.wait(t, KindUpload); e.Err == nil || e.Bytes >= blobnet.MaxBlobSize {
		t.Errorf("event %+v", e)
	}
}

func TestRequestsOverTheLimitGetBusy(t *testing.T) {
	store := newTestStore()
	store.block = make(chan struct{})
	r, _ := hostileClient(t, Config{Store: store, MaxRequests: 3})
	r.hello()
	for i := uint32(1); i <= 4; i++ {
		r.send(frame{typ: typeRequest, req: i})
	}
	if f := r.next(); f.typ != typeBusy || f.req != 4 || f.retry == 0 {
		t.Errorf("got %+v", f)
	}
	close(store.block)
	for range 3 {
		if f := r.next(); f.typ != typeNotFound {
			t.Errorf("got %+v", f)
		}
	}
}

func TestClientThatNeverReadsLosesItsStreamAndTheMemory(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	from, to := newPair(t)
	ev := newEvents()
	e := start(t, Config{Host: to, Store: newTestStore(blob), OnEvent: ev.add, StallTimeout: 200 * time.Millisecond})
	r := dial(t, from, to)
	r.send(frame{typ: typeHandshake, version: version})
	for i := uint32(1); i <= 8; i++ {
		r.send(frame{typ: typeRequest, req: i, id: blobnet.Sum(blob)})
	}
	if got := ev.wait(t, KindUpload); !errors.Is(got.Err, ErrStalled) {
		t.Errorf("event %+v", got)
	}
	if err := r.ended(); err == nil || err == io.EOF {
		t.Errorf("stream ended with %v", err)
	}
	e.Close()
	if n := e.buffers.lent; n != 0 {
		t.Errorf("%d buffers are lent for ever", n)
	}
}

func TestClientThatNeverClosesIsClosed(t *testing.T) {
	r, _ := hostileClient(t, Config{IdleTimeout: 50 * time.Millisecond})
	r.hello()
	if _, err := r.fr.next(); err != io.EOF {
		t.Errorf("stream ended with %v", err)
	}
}

func TestClientThatNeverHandshakesIsCutOff(t *testing.T) {
	r, _ := hostileClient(t, Config{StallTimeout: 50 * time.Millisecond})
	r.s.Write([]byte{0}) // opens the stream
	if err := r.ended(); err == nil || err == io.EOF {
		t.Errorf("stream ended with %v", err)
	}
}

func TestStreamsPerPeerAreLimited(t *testing.T) {
	from, to := newPair(t)
	start(t, Config{Host: to, MaxStreamsPerPeer: 2})
	dial(t, from, to).hello()
	dial(t, from, to).hello()
	third := dial(t, from, to)
	third.send(frame{typ: typeHandshake, version: version})
	if err := third.ended(); err == nil || err == io.EOF {
		t.Errorf("third stream ended with %v", err)
	}
}
