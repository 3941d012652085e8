package wsbridge

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// raw is one end of a WebSocket, by hand: RFC 6455 and the document are all it
// knows.
type raw struct {
	t      testing.TB
	c      net.Conn
	br     *bufio.Reader
	client bool
}

const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// dialRaw connects and upgrades. header are more lines of the request.
func dialRaw(t testing.TB, addr, header string) (*raw, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", addr, header)
	r := &raw{t: t, c: c, br: bufio.NewReader(c), client: true}
	line, err := r.br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "HTTP/1.1 101 ") {
		return nil, errors.New(strings.TrimSpace(line))
	}
	for line != "\r\n" {
		if line, err = r.br.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// acceptRaw upgrades a connection.
func acceptRaw(t testing.TB, c net.Conn) *raw {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := &raw{t: t, c: c, br: bufio.NewReader(c)}
	req, err := http.ReadRequest(r.br)
	if err != nil {
		c.Close()
		return nil
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + acceptGUID))
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	return r
}

// The opcodes of frames.
const opText, opBinary, opClose, opPing, opPong = 1, 2, 8, 9, 10

// frame sends one frame.
func (r *raw) frame(op byte, p []byte) error {
	b := []byte{0x80 | op}
	mask := byte(0)
	if r.client {
		mask = 0x80
	}
	switch n := len(p); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = append(b, mask|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if r.client {
		b = append(b, 0, 0, 0, 0) // a mask that changes nothing
	}
	_, err := r.c.Write(append(b, p...))
	return err
}

func (r *raw) say(text string) error { return r.frame(opText, []byte(text)) }

// read returns the next frame, which is whole: nothing here comes in fragments.
func (r *raw) read() (op byte, p []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r.br, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 {
		return 0, nil, fmt.Errorf("a frame begins with %x", head[0])
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err == nil && n > maxBinary {
		err = fmt.Errorf("a frame of %d bytes", n)
	}
	var key [4]byte
	if err == nil && head[1]&0x80 != 0 {
		_, err = io.ReadFull(r.br, key[:])
	}
	if err != nil {
		return 0, nil, err
	}
	p = make([]byte, n)
	_, err = io.ReadFull(r.br, p)
	for i := range p {
		p[i] ^= key[i&3]
	}
	return head[0] & 15, p, err
}

// next returns the next message, as it is if it is text, and else in hex digits
// up to the data, and the data.
func (r *raw) next() (string, []byte) {
	r.t.Helper()
	for {
		op, p, err := r.read()
		switch {
		case err != nil:
			return "end: " + err.Error(), nil
		case op == opText:
			return string(p), nil
		case op == opBinary && len(p) >= headSize:
			return fmt.Sprintf("%x", p[:headSize]), p[headSize:]
		case op == opPing:
			r.frame(opPong, p)
		case op == opClose:
			r.frame(opClose, p)
			return fmt.Sprintf("close: %x %s", p[:min(2, len(p))], p[min(2, len(p)):]), nil
		}
	}
}

// want fails unless the next message is as given.
func (r *raw) want(text string) []byte {
	r.t.Helper()
	got, data := r.next()
	if got != text {
		r.c.Close()
		r.t.Fatalf("got %.300s\nwant %.300s", got, text)
	}
	return data
}

// ended reads until the connection ends, and returns the last text message and
// the close frame, if there was one.
func (r *raw) ended() (last, closed string) {
	for {
		m, _ := r.next()
		switch {
		case strings.HasPrefix(m, "end: "):
			return last, closed
		case strings.HasPrefix(m, "close: "):
			closed = m
		default:
			last = m
		}
	}
}

// greet does the handshake with an empty store.
func (r *raw) greet() *raw {
	r.t.Helper()
	r.say(`{"type":0,"version":1,"peerId":"00ff","blobCount":0}`)
	for range 2 {
		if m, _ := r.next(); !strings.HasPrefix(m, `{"type":0,`) && !strings.HasPrefix(m, `{"type":1,`) {
			r.t.Fatalf("got %.300s for a handshake", m)
		}
	}
	return r
}

// blobStore hides what a store can do beyond blobnet.Store, so that it tells
// nothing after the handshake, and can hold up its Gets.
type blobStore struct {
	blobnet.Store
	block chan struct{}
}

func (s *blobStore) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	return s.Store.Get(ctx, id, dst)
}

func newStore(blobs ...[]byte) *memstore.Store {
	s := memstore.New(memstore.Config{})
	for _, b := range blobs {
		if err := s.Put(context.Background(), blobnet.Sum(b), b); err != nil {
			panic(err)
		}
	}
	return s
}

// quiet returns a store that tells nothing by itself.
func quiet(blobs ...[]byte) *blobStore { return &blobStore{Store: newStore(blobs...)} }

// randomBlob returns size bytes that differ by seed.
func randomBlob(size int, seed uint64) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
}

// events collects what is told.
type events struct {
	mu   sync.Mutex
	list []Event
	more chan struct{}
}

func newEvents() *events { return &events{more: make(chan struct{}, 1)} }

func (e *events) add(ev Event) {
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *events) find(kind Kind) (Event, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		if ev.Kind == kind {
			return ev, true
		}
	}
	return Event{}, false
}

// wait returns the first event of a kind, for which it waits.
func (e *events) wait(t testing.TB, kind Kind) Event {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		if ev, ok := e.find(kind); ok {
			return ev
		}
		select {
		case <-e.more:
		case <-timeout:
			t.Fatalf("no %v event", kind)
		}
	}
}

// start runs a server until the test ends.
func start(t testing.TB, cfg Config) (*Server, *events) {
	t.Helper()
	ev := newEvents()
	cfg.Addr, cfg.PeerID = "127.0.0.1:0", "5e1f"
	if tell := cfg.OnEvent; tell != nil {
		cfg.OnEvent = func(e Event) { ev.add(e); tell(e) }
	} else {
		cfg.OnEvent = ev.add
	}
	if cfg.Store == nil {
		cfg.Store = quiet()
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s, ev
}

// connect dials the server and does the handshake.
func connect(t testing.TB, s *Server) *raw {
	t.Helper()
	r, err := dialRaw(t, s.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	return r.greet()
}

// peerOf returns a peer that is closed when the test ends.
func peerOf(t testing.TB, url string, cfg PeerConfig) (*Peer, *events) {
	t.Helper()
	ev := newEvents()
	cfg.URL, cfg.OnEvent, cfg.PeerID = url, ev.add, "c11e"
	p, err := NewPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, ev
}

// hostile runs serve for each connection of a server made by hand, and returns
// its URL.
func hostile(t testing.TB, serve func(*raw)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			work.Go(func() {
				defer c.Close()
				if r := acceptRaw(t, c); r != nil {
					serve(r)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return "ws://" + l.Addr().String()
}

// TestMain fails if a goroutine of the package is left when all have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	for try := 0; ; try++ {
		left := ""
		buf := make([]byte, 4<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(g, "wsbridge.TestMain") && (strings.Contains(g, "aml/blobnet/wsbridge.") || strings.Contains(g, "coder/websocket")) {
				left += g + "\n\n"
			}
		}
		if left == "" {
			break
		}
		if try == 1000 { // what has returned may take a moment to be gone
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s", left)
			code = 1
			break
		}
		runtime.Gosched()
	}
	os.Exit(code)
}
