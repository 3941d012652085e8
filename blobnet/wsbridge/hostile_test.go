package wsbridge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const greeting = `{"type":0,"version":1,"peerId":"00ff","blobCount":0}`

func TestMisbehavingClientIsToldAndCutOff(t *testing.T) {
	request := `{"type":2,"requestId":1,"blobId":"` + helloHex + `"}`
	for name, send := range map[string]func(*raw){
		"garbage":        func(r *raw) { r.say("garbage") },
		"no JSON object": func(r *raw) { r.say("[]") },
		"no UTF-8":       func(r *raw) { r.frame(opText, []byte{0xff, 0xfe}) },
		"version 2":      func(r *raw) { r.say(`{"type":0,"version":2,"peerId":"ab","blobCount":0}`) },
		"long text":      func(r *raw) { r.say(`{"type":7,"message":"` + strings.Repeat("x", maxText) + `"}`) },
		"too many ids": func(r *raw) {
			r.say(`{"type":5,"blobIds":["` + strings.Repeat(helloHex+`","`, 1500) + helloHex + `"]}`)
		},
		"unsolicited RESPONSE": func(r *raw) { r.frame(opBinary, append([]byte{3}, make([]byte, 100)...)) },
		"short binary":         func(r *raw) { r.frame(opBinary, []byte{3}) },
		"binary of type 2":     func(r *raw) { r.frame(opBinary, append([]byte{2}, make([]byte, 100)...)) },
		"unasked NOT_FOUND":    func(r *raw) { r.say(`{"type":6,"requestId":1,"blobId":"` + helloHex + `"}`) },
		"request id in use":    func(r *raw) { r.say(request); r.say(request) },
		"flood of HAVE": func(r *raw) {
			for r.say(`{"type":4,"blobIds":["`+helloHex+`"]}`) == nil {
			}
		},
		"flood of greetings": func(r *raw) {
			for r.say(greeting) == nil {
			}
		},
		"flood of ERROR": func(r *raw) {
			for r.say(`{"type":7,"message":"x"}`) == nil {
			}
		},
		"flood of empty WANT": func(r *raw) {
			for r.say(`{"type":5,"blobIds":[]}`) == nil {
			}
		},
		"flood of unknown types": func(r *raw) {
			for r.say(`{"type":12}`) == nil {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := quiet([]byte("hello world"))
			st.block = make(chan struct{}) // so that requests stay open
			s, ev := start(t, Config{Store: st})
			r := connect(t, s)
			told := make(chan string, 1)
			go func() {
				last, _ := r.ended()
				told <- last
			}()
			send(r)
			if last := <-told; !strings.HasPrefix(name, "flood") && !strings.HasPrefix(last, `{"type":7,"message":"peer breaks the blob protocol: `) {
				t.Errorf("it was told %.300s", last)
			}
			if e := ev.wait(t, KindMisbehaviour); !errors.Is(e.Err, ErrProtocol) || e.PeerID != "00ff" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestFramesThatBreakWebSocketEndTheConnection(t *testing.T) {
	for name, b := range map[string]string{
		"noise":              string(randomBlob(10_000, 1)),
		"no mask":            "\x81\x02{}",
		"a huge length":      "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"an unknown opcode":  "\x83\x80\x00\x00\x00\x00",
		"a long PING":        "\x89\xfe\x01\x00\x00\x00\x00\x00" + strings.Repeat("x", 256),
		"a continued PING":   "\x09\x80\x00\x00\x00\x00",
		"nothing to go on":   "\x80\x80\x00\x00\x00\x00",
		"compressed unasked": "\xc1\x82\x00\x00\x00\x00{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, Config{Limits: Limits{StallTimeout: 2 * time.Second}})
			r := connect(t, s)
			io.WriteString(r.c, b)
			r.ended()
		})
	}
}

func TestClientsThatDoNothingOrTooLittleAreCutOff(t *testing.T) {
	lim := Limits{StallTimeout: time.Second, IdleTimeout: time.Second, PingInterval: 200 * time.Millisecond}
	t.Run("sends no HTTP request", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, Config{Limits: lim})
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "GET / HT")
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) && strings.Contains(err.Error(), "timeout") {
			t.Error(err)
		}
	})
	t.Run("never greets", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, Config{Limits: lim})
		r, err := dialRaw(t, s.Addr().String(), "")
		if err != nil {
			t.Fatal(err)
		}
		r.ended()
	})
	t.Run("only pings", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, Config{Limits: lim})
		r, err := dialRaw(t, s.Addr().String(), "")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for tick := time.NewTicker(10 * time.Millisecond); r.frame(opPing, []byte("x")) == nil; <-tick.C {
			}
		}()
		r.ended()
	})
	t.Run("never closes", func(t *testing.T) {
		t.Parallel()
		s, ev := start(t, Config{Limits: lim})
		r := connect(t, s)
		if _, closed := r.ended(); closed != "close: 03e9 " {
			t.Errorf("it ends with %q", closed)
		}
		if e, ok := ev.find(KindMisbehaviour); ok {
			t.Errorf("event %+v", e)
		}
	})
	t.Run("stops in mid-message", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, Config{Limits: Limits{StallTimeout: time.Second}})
		r := connect(t, s)
		r.c.Write([]byte{0x81, 0x80 | 100, 0, 0, 0, 0, '{'})
		r.ended()
	})
	t.Run("answers no PING", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, Config{Limits: Limits{StallTimeout: time.Second, PingInterval: 200 * time.Millisecond}})
		r := connect(t, s)
		for {
			if _, _, err := r.read(); err != nil {
				break
			}
		}
	})
	t.Run("never reads", func(t *testing.T) {
		t.Parallel()
		blob := randomBlob(blobnet.MaxBlobSize, 1)
		s, ev := start(t, Config{Store: quiet(blob), Limits: Limits{StallTimeout: time.Second}})
		r := connect(t, s)
		for i := range uint32(8) {
			r.say(string(appendText(nil, message{kind: kindRequest, req: i, id: blobnet.Sum(blob)})))
		}
		for {
			if e := ev.wait(t, KindUpload); e.Err != nil {
				if !errors.Is(e.Err, ErrStalled) {
					t.Errorf("event %+v", e)
				}
				break
			}
			ev.mu.Lock()
			ev.list = nil // the first fit into the sockets' buffers
			ev.mu.Unlock()
		}
		r.ended()
		for s.memory.left.TryAcquire(1) { // all of it comes back
		}
	})
}

func TestFloodsOfRequestsAreSlowedAndBounded(t *testing.T) {
	st := quiet([]byte("hello world"))
	st.block = make(chan struct{})
	s, ev := start(t, Config{Store: st, Limits: Limits{MaxRequests: 3, StallTimeout: 5 * time.Second}})
	r := connect(t, s)
	go func() { // it is not read beyond the limit, so this comes to a stop
		for i := uint32(0); ; i++ {
			if r.say(string(appendText(nil, message{kind: kindRequest, req: i, id: hello}))) != nil {
				return
			}
		}
	}()
	var x *session
	for x == nil || len(x.jobs) < 3 {
		runtime.Gosched()
		s.mu.Lock()
		for y := range s.sessions {
			x = y
		}
		s.mu.Unlock()
	}
	x.mu.Lock()
	if n := len(x.open); n > 5 { // queued, one being loaded, one waiting
		t.Errorf("%d requests are open", n)
	}
	x.mu.Unlock()
	close(st.block)
	for i := range uint32(100) {
		var head [headSize]byte
		putHead(head[:], i, hello)
		if m, _ := r.next(); m != hexOf(head[:]) {
			t.Fatalf("got %.100s for request %d", m, i)
		}
	}
	if e, ok := ev.find(KindMisbehaviour); ok {
		t.Errorf("event %+v", e)
	}
	r.c.Close()
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}

func TestTwoHundredConnectionsFromOneAddressLeaveRoomForOthers(t *testing.T) {
	before := runtime.NumGoroutine()
	s, _ := start(t, Config{Store: quiet([]byte("hello world")), MaxConnsPerIP: 8, Limits: Limits{StallTimeout: 5 * time.Second}})
	var conns []*raw
	refused, told := 0, 0
	for range 200 {
		r, err := dialRaw(t, s.Addr().String(), "")
		switch {
		case err == nil:
			conns = append(conns, r)
		case strings.HasPrefix(err.Error(), "HTTP/1.1 503"):
			told++
			fallthrough
		default:
			refused++
		}
	}
	if len(conns) != 8 || refused != 192 || told == 0 {
		t.Errorf("%d connected, %d refused, of them %d in words", len(conns), refused, told)
	}
	if n := runtime.NumGoroutine() - before; n > 8*12+20 {
		t.Errorf("%d goroutines more", n)
	}
	// Those who are in are served, and a place that is left is free again.
	r := conns[0].greet()
	r.say(`{"type":2,"requestId":1,"blobId":"` + helloHex + `"}`)
	r.want("0300000001" + helloHex)
	r.frame(opClose, []byte{3, 232})
	r.ended()
	r.c.Close()
	for {
		if r, err := dialRaw(t, s.Addr().String(), ""); err == nil {
			r.greet()
			break
		}
		runtime.Gosched()
	}
}

func TestWhoIsIdleLongestMakesRoom(t *testing.T) {
	st := quiet([]byte("hello world"))
	st.block = make(chan struct{})
	s, _ := start(t, Config{Store: st, MaxConns: 2})
	busy := connect(t, s)
	busy.say(`{"type":2,"requestId":1,"blobId":"` + helloHex + `"}`)
	for open := false; !open; runtime.Gosched() {
		s.mu.Lock()
		for x := range s.sessions {
			x.mu.Lock()
			open = open || len(x.open) > 0
			x.mu.Unlock()
		}
		s.mu.Unlock()
	}
	idle := connect(t, s)
	third := connect(t, s)
	if _, closed := idle.ended(); closed != "close: 03e9 " {
		t.Errorf("the idle one ends with %q", closed)
	}
	close(st.block)
	busy.want("0300000001" + helloHex)
	third.say(`{"type":5,"blobIds":["` + helloHex + `"]}`)
	third.want(`{"type":4,"blobIds":["` + helloHex + `"]}`)
}

func TestMisbehavingServerIsToldFromAFailingOne(t *testing.T) {
	blob := []byte("hello world")
	respond := func(r *raw, req uint32, id blobnet.ID, data []byte) {
		b := make([]byte, headSize, headSize+len(data))
		putHead(b, req, id)
		r.frame(opBinary, append(b, data...))
	}
	lim := Limits{StallTimeout: 300 * time.Millisecond, PingInterval: 100 * time.Millisecond}
	for _, tt := range []struct {
		name  string
		want  error
		serve func(*raw, message)
	}{
		{"garbage", ErrProtocol, func(r *raw, m message) { r.say("garbage") }},
		{"wrong bytes", blobnet.ErrCorrupt, func(r *raw, m message) { respond(r, m.req, m.id, []byte("evil")) }},
		{"no bytes", blobnet.ErrCorrupt, func(r *raw, m message) { respond(r, m.req, m.id, nil) }},
		{"another request's", ErrProtocol, func(r *raw, m message) { respond(r, m.req+1, m.id, blob) }},
		{"another blob's id", ErrProtocol, func(r *raw, m message) { respond(r, m.req, blobnet.ID{1}, blob) }},
		{"too many bytes", ErrProtocol, func(r *raw, m message) { respond(r, m.req, m.id, make([]byte, blobnet.MaxBlobSize+1)) }},
		{"NOT_FOUND of another", ErrProtocol, func(r *raw, m message) { m.kind, m.id = kindNotFound, blobnet.ID{1}; r.say(string(appendText(nil, m))) }},
		{"answers twice", ErrProtocol, func(r *raw, m message) {
			respond(r, m.req+7, m.id, blob)
			respond(r, m.req, m.id, blob)
		}},
		{"flood of HAVE", ErrProtocol, func(r *raw, m message) {
			for r.say(`{"type":4,"blobIds":["`+helloHex+`"]}`) == nil {
			}
		}},
		{"ERROR", ErrRefused, func(r *raw, m message) { r.say(`{"type":7,"message":"no"}`); r.ended() }},
		{"policy", ErrRefused, func(r *raw, m message) { r.frame(opClose, []byte{3, 240}); r.ended() }},
		{"closes", ErrLost, func(r *raw, m message) { r.frame(opClose, []byte{3, 232}) }},
		{"resets", ErrLost, func(r *raw, m message) {}},
		{"closes in mid-blob", ErrLost, func(r *raw, m message) { r.c.Write([]byte{0x82, 100, 3}) }},
		{"never answers", ErrStalled, func(r *raw, m message) { r.ended() }},
		{"only pings", ErrStalled, func(r *raw, m message) {
			go func() {
				for tick := time.NewTicker(10 * time.Millisecond); r.frame(opPing, nil) == nil; <-tick.C {
				}
			}()
			for err := error(nil); err == nil; _, _, err = r.read() {
			}
		}},
		{"stops in mid-blob", ErrStalled, func(r *raw, m message) {
			b := make([]byte, headSize)
			putHead(b, m.req, m.id)
			r.c.Write(append([]byte{0x82, 126, 8, 0}, b...))
			r.ended()
		}},
		{"drips", ErrStalled, func(r *raw, m message) {
			b := make([]byte, headSize)
			putHead(b, m.req, m.id)
			r.c.Write(append([]byte{0x82, 127, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff}, b...))
			gone := make(chan struct{})
			go func() { r.ended(); close(gone) }()
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-tick.C:
					r.c.Write([]byte{1})
				case <-gone:
					tick.Stop()
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := hostile(t, func(r *raw) {
				r.say(greeting)
				for {
					text, _ := r.next()
					m, err := parse([]byte(text))
					if err != nil {
						return
					}
					if m.kind == kindRequest {
						tt.serve(r, m)
						if tt.want == ErrProtocol || tt.want == blobnet.ErrCorrupt {
							r.ended() // what it sent is not lost by a reset
						}
						return
					}
				}
			})
			lim := lim
			if tt.want != ErrStalled {
				lim = Limits{} // a machine may be slow
			}
			p, ev := peerOf(t, url, PeerConfig{Limits: lim})
			got, err := p.Get(t.Context(), hello, []byte("dst"))
			if !errors.Is(err, tt.want) || string(got) != "dst" {
				t.Fatalf("got %q, %v, want %v", got, err, tt.want)
			}
			var mis interface{ Misbehaviour() bool }
			bad := tt.want == ErrProtocol || tt.want == blobnet.ErrCorrupt
			if errors.As(err, &mis) != bad {
				t.Errorf("misbehaviour is not told from failure: %v", err)
			}
			if bad {
				e := ev.wait(t, KindMisbehaviour)
				if e.Peer != p.Name() || e.Err == nil || tt.name == "wrong bytes" && e.Bytes != 4 {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func TestServersThatAreNoWebSocketsOfTheDocument(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         error
	}{
		{"busy", "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", blobnet.ErrBusy},
		{"not there", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ErrRefused},
		{"redirects", "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", ErrRefused},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n", ErrRefused},
		{"no key", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", ErrRefused},
		{"silent", "", ErrStalled},
		{"endless header", "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var work sync.WaitGroup
			work.Go(func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				io.WriteString(c, tt.answer)
				io.Copy(io.Discard, c)
			})
			defer work.Wait()
			defer l.Close()
			p, _ := peerOf(t, "ws://"+l.Addr().String(), PeerConfig{Limits: Limits{StallTimeout: 2 * time.Second}})
			_, err = p.Get(t.Context(), hello, nil)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var busy *BusyError
			if tt.want == blobnet.ErrBusy && (!errors.As(err, &busy) || busy.RetryAfter() != 7*time.Second) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOldNodeThatTellsAllItHasAtOnceIsBorne(t *testing.T) {
	url := hostile(t, func(r *raw) {
		r.say(greeting)
		r.say(`{"type":4,"blobIds":["` + strings.Repeat(helloHex+`","`, 50_000) + helloHex + `"]}`) // 3 MiB
		for {
			text, _ := r.next()
			m, err := parse([]byte(text))
			if err != nil {
				return
			}
			if m.kind == kindRequest {
				b := make([]byte, headSize)
				putHead(b, m.req, m.id)
				r.frame(opBinary, append(b, "hello world"...))
			}
		}
	})
	p, _ := peerOf(t, url, PeerConfig{})
	if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" {
		t.Errorf("%q %v", got, err)
	}
}

func TestNodeThatIsSilentOnWantHasNothing(t *testing.T) {
	url := hostile(t, func(r *raw) {
		r.say(greeting)
		r.ended()
	})
	p, _ := peerOf(t, url, PeerConfig{HaveTimeout: 50 * time.Millisecond})
	if has, err := p.Have(t.Context(), []blobnet.ID{hello}); err != nil || has[0] {
		t.Errorf("%v %v", has, err)
	}
}

// counter is a Limiter that only counts.
type counter struct {
	mu    sync.Mutex
	bytes map[string]int
	most  int
}

func (c *counter) Wait(ctx context.Context, peer string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes[peer] += n
	c.most = max(c.most, n)
	return ctx.Err()
}

func TestEveryByteThatIsSentWaitsForTheLimiter(t *testing.T) {
	c := &counter{bytes: map[string]int{}}
	blob := randomBlob(300_000, 1)
	s, _ := start(t, Config{Store: quiet(blob), Upload: c})
	p, _ := peerOf(t, "ws://"+s.Addr().String(), PeerConfig{})
	if _, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.bytes["127.0.0.1"]; n < 300_000 || n > 302_000 || c.most > piece {
		t.Errorf("%v bytes, %d at once", c.bytes, c.most)
	}
}
