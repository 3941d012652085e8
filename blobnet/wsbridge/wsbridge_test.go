package wsbridge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestServerSpeaksTheDocumentByteForByte(t *testing.T) {
	blob := []byte("hello world")
	s, ev := start(t, Config{Store: quiet(blob)})
	r, err := dialRaw(t, s.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.want(`{"type":0,"version":1,"peerId":"5e1f","blobCount":0}`)
	r.say(`{"type":0,"version":1,"peerId":"00ff","blobCount":12}`)
	r.want(`{"type":1,"version":1,"peerId":"5e1f"}`)
	r.say(`{"type":1,"version":1,"peerId":"00ff"}`)

	r.say(`{"type":2,"requestId":16909060,"blobId":"` + helloHex + `"}`)
	if data := r.want("03" + "01020304" + helloHex); string(data) != "hello world" {
		t.Errorf("the blob is %q", data)
	}
	none := strings.Repeat("ab", 32)
	r.say(`{"type":2,"requestId":2,"blobId":"` + none + `"}`)
	r.want(`{"type":6,"requestId":2,"blobId":"` + none + `"}`)
	r.say(`{"type":5,"blobIds":["` + none + `","` + helloHex + `"]}`)
	r.want(`{"type":4,"blobIds":["` + helloHex + `"]}`)
	r.say(`{"type":5,"blobIds":["` + none + `"]}`)
	r.want(`{"type":4,"blobIds":[]}`)
	// What has been answered may be asked under the same id again.
	r.say(`{"type":2,"requestId":2,"blobId":"` + helloHex + `"}`)
	r.want("03" + "00000002" + helloHex)

	r.say(`{"type":4,"blobIds":["` + none + `"]}`)
	if e := ev.wait(t, KindHave); len(e.IDs) != 1 || e.IDs[0].String() != none || e.PeerID != "00ff" {
		t.Errorf("event %+v", e)
	}
	if e := ev.wait(t, KindPeer); e.PeerID != "00ff" || e.Peer != r.c.LocalAddr().String() {
		t.Errorf("event %+v", e)
	}
	if e := ev.wait(t, KindUpload); e.ID != hello || e.Bytes != 11 || e.Err != nil || e.Peer != r.c.LocalAddr().String() {
		t.Errorf("event %+v", e)
	}
	r.frame(opPing, []byte("x"))
	if op, p, err := r.read(); op != opPong || string(p) != "x" || err != nil {
		t.Errorf("PING got %d %q %v", op, p, err)
	}
	r.frame(opClose, []byte{3, 232})
	if _, closed := r.ended(); closed != "close: 03e8 " {
		t.Errorf("it ends with %q", closed)
	}
	if e, ok := ev.find(KindMisbehaviour); ok {
		t.Errorf("event %+v", e)
	}
}

// TestAPingBehindAWholeBlobIsAnswered holds the server up just after a blob, of
// which the peer has every byte.
func TestAPingBehindAWholeBlobIsAnswered(t *testing.T) {
	answered := make(chan struct{})
	s, _ := start(t, Config{Store: quiet([]byte("hello world")), OnEvent: func(e Event) {
		if e.Kind == KindUpload {
			<-answered
		}
	}})
	defer close(answered)
	r := connect(t, s)
	r.say(`{"type":2,"requestId":1,"blobId":"` + helloHex + `"}`)
	r.want("03" + "00000001" + helloHex)
	r.frame(opPing, []byte("x"))
	if op, p, err := r.read(); op != opPong || string(p) != "x" || err != nil {
		t.Errorf("PING got %d %q %v", op, p, err)
	}
}

func TestHaveIsToldAfterTheHandshakeInPartsUpToALimit(t *testing.T) {
	var blobs [][]byte
	for i := range 3000 {
		blobs = append(blobs, fmt.Appendf(nil, "blob %d", i))
	}
	s, _ := start(t, Config{Store: newStore(blobs...), Limits: Limits{MaxHave: 2500}})
	r, err := dialRaw(t, s.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.want(`{"type":0,"version":1,"peerId":"5e1f","blobCount":3000}`)
	r.say(`{"type":0,"version":1,"peerId":"00ff","blobCount":0}`)
	r.want(`{"type":1,"version":1,"peerId":"5e1f"}`)
	seen := map[blobnet.ID]bool{}
	for _, n := range []int{1024, 1024, 452} {
		text, _ := r.next()
		m, err := parse([]byte(text))
		if err != nil || m.kind != kindHave || len(m.ids) != n {
			t.Fatalf("got %.100s, want HAVE of %d", text, n)
		}
		for _, id := range m.ids {
			seen[id] = true
		}
	}
	if len(seen) != 2500 {
		t.Errorf("%d blobs are told", len(seen))
	}
	// Of the others one learns by WANT.
	var want message
	want.kind = kindWant
	for _, b := range blobs {
		if id := blobnet.Sum(b); !seen[id] && len(want.ids) < maxIDs {
			want.ids = append(want.ids, id)
		}
	}
	r.say(string(appendText(nil, want)))
	want.kind = kindHave
	r.want(string(appendText(nil, want)))
}

// TestPeerSpeaksTheDocumentByteForByte plays an old node.
func TestPeerSpeaksTheDocumentByteForByte(t *testing.T) {
	none := strings.Repeat("ab", 32)
	url := hostile(t, func(r *raw) {
		r.say(`{"type":0,"version":1,"peerId":"custom-id","blobCount":1,"agent":"old"}`)
		r.want(`{"type":0,"version":1,"peerId":"c11e","blobCount":0}`)
		r.want(`{"type":1,"version":1,"peerId":"c11e"}`)
		r.say(`{"type":1,"version":1,"peerId":"custom-id"}`)
		r.say(`{"type":4,"blobIds":["` + helloHex + `"]}`)
		r.want(`{"type":2,"requestId":0,"blobId":"` + helloHex + `"}`)
		// It asks, too, and is told that nothing is there.
		r.say(`{"type":2,"requestId":9,"blobId":"` + none + `"}`)
		r.want(`{"type":6,"requestId":9,"blobId":"` + none + `"}`)
		r.say(`{"type":5,"blobIds":["` + none + `"]}`)
		r.want(`{"type":4,"blobIds":[]}`)
		head := make([]byte, headSize)
		putHead(head, 0, hello)
		r.frame(opBinary, append(head, "hello world"...))
		r.want(`{"type":2,"requestId":1,"blobId":"` + none + `"}`)
		r.say(`{"type":6,"requestId":1,"blobId":"` + none + `"}`)
		r.want(`{"type":5,"blobIds":["` + none + `","` + helloHex + `"]}`)
		r.say(`{"type":4,"blobIds":["` + none[:62] + "00" + `"]}`) // news
		r.say(`{"type":4,"blobIds":["` + helloHex + `"]}`)
		r.ended()
	})
	p, ev := peerOf(t, url, PeerConfig{})
	got, err := p.Get(t.Context(), hello, []byte("> "))
	if err != nil || string(got) != "> hello world" {
		t.Fatalf("got %q, %v", got, err)
	}
	id, _ := blobnet.ParseID(none)
	if got, err := p.Get(t.Context(), id, []byte("> ")); !errors.Is(err, blobnet.ErrNotFound) || string(got) != "> " {
		t.Errorf("got %q, %v", got, err)
	}
	if has, err := p.Have(t.Context(), []blobnet.ID{id, hello}); err != nil || has[0] || !has[1] {
		t.Errorf("%v %v", has, err)
	}
	if e := ev.wait(t, KindPeer); e.PeerID != "custom-id" || e.Peer != p.Name() {
		t.Errorf("event %+v", e)
	}
	if e := ev.wait(t, KindDownload); e.ID != hello || e.Bytes != 11 {
		t.Errorf("event %+v", e)
	}
	if e := ev.wait(t, KindHave); len(e.IDs) != 1 {
		t.Errorf("event %+v", e)
	}
}

func TestManyRequestsShareOneConnection(t *testing.T) {
	store := newStore()
	var ids []blobnet.ID
	blobs := map[blobnet.ID][]byte{}
	for i := range 200 {
		size := []int{0, 1, 1000, 65536, blobnet.MaxBlobSize}[i%5]
		b := randomBlob(size, uint64(i))
		id := blobnet.Sum(b)
		ids, blobs[id] = append(ids, id), b
		if err := store.Put(t.Context(), id, b); err != nil {
			t.Fatal(err)
		}
	}
	s, ev := start(t, Config{Store: store})
	p, _ := peerOf(t, "ws://"+s.Addr().String()+"/", PeerConfig{Limits: Limits{MaxRequests: 16}})
	var work sync.WaitGroup
	for _, id := range ids {
		work.Go(func() {
			got, err := p.Get(t.Context(), id, nil)
			if err != nil || !bytes.Equal(got, blobs[id]) {
				t.Errorf("%d bytes of %d: %v", len(got), len(blobs[id]), err)
			}
		})
	}
	work.Wait()
	if has, err := p.Have(t.Context(), append(ids, ids...)); err != nil || len(has) != 400 || !has[399] {
		t.Errorf("%d answers, %v", len(has), err)
	}
	n := 0
	for _, e := range ev.list {
		if e.Kind == KindPeer {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestPeerServesItsStoreToTheNodeThatItDialled(t *testing.T) {
	blob := []byte("hello world")
	got := make(chan string, 1)
	url := hostile(t, func(r *raw) {
		defer close(got)
		r.say(`{"type":0,"version":1,"peerId":"ab","blobCount":0}`)
		r.want(`{"type":0,"version":1,"peerId":"c11e","blobCount":1}`)
		r.want(`{"type":1,"version":1,"peerId":"c11e"}`)
		m, _ := r.next()
		if !strings.HasPrefix(m, `{"type":4,`) {
			r.next() // REQUEST came first
		}
		r.say(`{"type":2,"requestId":7,"blobId":"` + helloHex + `"}`)
		for {
			m, data := r.next()
			if data != nil || strings.HasPrefix(m, "end") {
				got <- m + string(data)
				r.say(`{"type":6,"requestId":0,"blobId":"` + helloHex + `"}`)
				return
			}
		}
	})
	p, _ := peerOf(t, url, PeerConfig{Store: newStore(blob)})
	p.Get(t.Context(), hello, nil)
	if m := <-got; m != "0300000007"+helloHex+"hello world" {
		t.Errorf("got %s", m)
	}
}

func TestPeerReconnectsWhenTheNodeComesBack(t *testing.T) {
	var served atomic.Int64
	url := hostile(t, func(r *raw) {
		r.say(`{"type":0,"version":1,"peerId":"ab","blobCount":0}`)
		for {
			text, _ := r.next()
			if m, err := parse([]byte(text)); err != nil {
				return
			} else if m.kind == kindRequest {
				if served.Add(1) == 2 {
					return // in the middle of a request
				}
				r.say(strings.Replace(text, `"type":2`, `"type":6`, 1))
			}
		}
	})
	p, _ := peerOf(t, url, PeerConfig{})
	for range 3 {
		if _, err := p.Get(t.Context(), hello, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Error(err)
		}
	}
	p.Close()
	if _, err := p.Get(t.Context(), hello, nil); !errors.Is(err, blobnet.ErrClosed) {
		t.Error(err)
	}
}

func TestCancelledGetLeavesOthersAndDstAlone(t *testing.T) {
	slow, fast := randomBlob(100_000, 1), randomBlob(1000, 2)
	st := quiet(slow, fast)
	st.block = make(chan struct{})
	s, _ := start(t, Config{Store: st})
	p, _ := peerOf(t, "ws://"+s.Addr().String(), PeerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	dst := make([]byte, 0, 200_000)
	begun := make(chan error)
	go func() {
		_, err := p.Get(ctx, blobnet.Sum(slow), dst)
		begun <- err
	}()
	cancel()
	if err := <-begun; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	clear(dst[:cap(dst)]) // the race detector sees a write from elsewhere
	close(st.block)
	if got, err := p.Get(t.Context(), blobnet.Sum(fast), nil); err != nil || !bytes.Equal(got, fast) {
		t.Error(err)
	}
}

func TestSecretsOfTheURLGoToTheNodeOnly(t *testing.T) {
	s, _ := start(t, Config{Store: quiet([]byte("hello world"))})
	inner, _ := url.Parse("http://" + s.Addr().String())
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "me" || pass != "secret" || r.URL.Query().Get("token") != "hidden" || r.URL.Path != "/a" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		r.URL.Path = "/"
		httputil.NewSingleHostReverseProxy(inner).ServeHTTP(w, r)
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.StartTLS()
	defer proxy.Close()
	host := strings.TrimPrefix(proxy.URL, "https://")
	p, _ := peerOf(t, "wss://me:secret@"+host+"/a?token=hidden", PeerConfig{})
	p.tls = proxy.Client().Transport.(*http.Transport).TLSClientConfig
	if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" {
		t.Errorf("%q %v", got, err)
	}
	if p.Name() != "wss://"+host+"/a" {
		t.Errorf("its name is %s", p.Name())
	}
	p.Close() // before the proxy, which does not end what it passed on
	for _, u := range []string{
		"ws://me:secret@127.0.0.1:1/?token=hidden", "wss://me:secret@" + host + "/other?token=hidden", "ws://me:secret@" + host + "/?token=hidden",
		"ws://me:secret@127.0.0.1:99999/?token=hidden", "ws://me:secret@:80:80/?token=hidden", "http://me:secret@127.0.0.1/?token=hidden", "ws://me:secret%zz@h/?token=hidden",
	} {
		q, err := NewPeer(PeerConfig{URL: u})
		if err == nil {
			q.tls = &tls.Config{InsecureSkipVerify: true}
			_, err = q.Get(t.Context(), hello, nil)
			q.Close()
		}
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "me:") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestWebPagesMayConnectOnlyWhereTheirOriginIsListed(t *testing.T) {
	for _, tt := range []struct {
		origins []string
		header  string
		ok      bool
	}{
		{nil, "", true},
		{nil, "Origin: https://example.org\r\n", false},
		{nil, "Origin: null\r\n", false},
		{[]string{"https://example.org"}, "Origin: https://example.org\r\n", true},
		{[]string{"https://example.org"}, "Origin: http://example.org\r\n", false},
		{[]string{"*"}, "Origin: null\r\n", true},
	} {
		s, _ := start(t, Config{Origins: tt.origins})
		_, err := dialRaw(t, s.Addr().String(), tt.header)
		if ok := err == nil; ok != tt.ok {
			t.Errorf("%v, %q: %v", tt.origins, tt.header, err)
		}
		// Not even its own name: a page can have its host resolve to anything.
		if tt.origins == nil {
			if _, err := dialRaw(t, s.Addr().String(), "Origin: http://"+s.Addr().String()+"\r\n"); err == nil {
				t.Error("a page of the server's own name connects")
			}
		}
	}
}

func TestServerEndsInOrder(t *testing.T) {
	s, err := NewServer(Config{Addr: "127.0.0.1:0", Store: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr() != nil {
		t.Error("it listens before it was told to")
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	r := connect(t, s)
	cancel()
	if _, closed := r.ended(); closed != "close: 03e9 " {
		t.Errorf("it ends with %q", closed)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := dialRaw(t, s.Addr().String(), ""); err == nil {
		t.Error("it listens")
	}
}
