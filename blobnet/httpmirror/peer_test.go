package httpmirror

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestPeerGetsWhatAServerServes(t *testing.T) {
	store := newStore()
	var ids []blobnet.ID
	for i, size := range []int{0, 1, 1000, 70_000, blobnet.MaxBlobSize} {
		b := randomBlob(size, uint64(i))
		ids = append(ids, blobnet.Sum(b))
		if err := store.Put(t.Context(), blobnet.Sum(b), b); err != nil {
			t.Fatal(err)
		}
	}
	var ev events
	p := peerOf(t, PeerConfig{URL: start(t, ServerConfig{HandlerConfig: HandlerConfig{Store: store}}) + "/", OnEvent: ev.add})
	var work sync.WaitGroup
	for _, id := range append(ids, ids...) {
		work.Go(func() {
			got, err := p.Get(t.Context(), id, []byte("> "))
			if want, _ := store.Get(t.Context(), id, []byte("> ")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
			}
		})
	}
	work.Wait()
	if got, err := p.Get(t.Context(), hello, []byte("> ")); !errors.Is(err, blobnet.ErrNotFound) || string(got) != "> " {
		t.Errorf("%q %v", got, err)
	}
	if e, ok := ev.find(KindDownload); !ok || e.Peer != p.Name() {
		t.Errorf("event %+v", e)
	}
}

// lay writes a blob into a folder under each of the names.
func lay(t *testing.T, blob []byte, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, blob, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLayoutOfAStaticServerIsLearntOnce(t *testing.T) {
	for i, l := range layouts {
		dir := lay(t, []byte("hello world"), l(helloHex))
		var asked atomic.Int64
		files := http.FileServer(http.Dir(dir))
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			files.ServeHTTP(w, r)
		}))
		p := peerOf(t, PeerConfig{URL: srv.URL})
		for range 3 {
			if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" {
				t.Errorf("layout %d: %q %v", i, got, err)
			}
		}
		if n, want := asked.Load(), int64(i+1+2); n != want {
			t.Errorf("layout %d: asked %d times, want %d", i, n, want)
		}
		asked.Store(0)
		p.Get(t.Context(), blobnet.ID{1}, nil)
		if n := asked.Load(); n != 1 {
			t.Errorf("layout %d: asked %d times for what is not there", i, n)
		}
		srv.Close()
	}
	// One that has nothing is not asked six times for every blob.
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); http.NotFound(w, r) }))
	defer srv.Close()
	p := peerOf(t, PeerConfig{URL: srv.URL})
	for i := range 50 {
		if _, err := p.Get(t.Context(), blobnet.ID{byte(i)}, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Error(err)
		}
	}
	if n, want := asked.Load(), int64(probes*len(layouts)+50-probes); n != want {
		t.Errorf("asked %d times, want %d", n, want)
	}
}

func TestTLSServerIsAskedByHTTP2(t *testing.T) {
	dir := lay(t, []byte("hello world"), "m/blobs/"+helloHex)
	var proto atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(int64(r.ProtoMajor))
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	p := peerOf(t, PeerConfig{URL: srv.URL + "/m/", Link: Link{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig}})
	if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" || proto.Load() != 2 {
		t.Errorf("%q %v HTTP/%d", got, err, proto.Load())
	}
	if p.Name() != srv.URL+"/m" {
		t.Error(p.Name())
	}
	stranger := peerOf(t, PeerConfig{URL: srv.URL + "/m/", Link: Link{TLS: &tls.Config{}}})
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if _, err := stranger.Get(t.Context(), hello, nil); err == nil {
		t.Error("a certificate that nobody signed is trusted")
	}
}

func TestPythonsServerIsAMirror(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	dir := lay(t, []byte("hello world"), "blobs/"+helloHex)
	cmd := exec.Command(python, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", dir, "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, _ := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(line, "(")
	if url, _, end := strings.Cut(rest, "/)"); ok && end {
		p := peerOf(t, PeerConfig{URL: url})
		if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" {
			t.Errorf("%q %v", got, err)
		}
		if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Error(err)
		}
		return
	}
	t.Fatalf("it says %q", line)
}

// cutter serves a blob, but no more than n bytes to a request.
type cutter struct {
	blob   []byte
	n      int
	ranges bool
	etag   func(try int) string
	tries  atomic.Int64
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	try := int(c.tries.Add(1))
	if c.etag != nil {
		w.Header().Set("ETag", c.etag(try))
	}
	var from int
	status := http.StatusOK
	if ir := r.Header.Get("If-Range"); c.ranges && r.Header.Get("Range") != "" && (ir == "" || ir == w.Header().Get("ETag")) {
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(c.blob)-1, len(c.blob)))
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(c.blob)-from))
	w.WriteHeader(status)
	w.Write(c.blob[from:min(from+c.n, len(c.blob))])
	w.(http.Flusher).Flush()
	if from+c.n < len(c.blob) {
		panic(http.ErrAbortHandler)
	}
}

func TestTransferThatBreaksIsTakenUpWhereItBroke(t *testing.T) {
	blob := randomBlob(1_000_000, 1)
	for name, tt := range map[string]struct {
		c     *cutter
		want  error
		tries int64
	}{
		"ranges":          {&cutter{blob: blob, n: 300_000, ranges: true}, nil, 4},
		"ranges and ETag": {&cutter{blob: blob, n: 300_000, ranges: true, etag: func(int) string { return `"x"` }}, nil, 4},
		"it never ends":   {&cutter{blob: blob, n: 10_000, ranges: true}, ErrLost, maxResumes + 1},
		"no ranges":       {&cutter{blob: blob, n: 300_000}, ErrLost, 2},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tt.c)
			defer srv.Close()
			p := peerOf(t, PeerConfig{URL: srv.URL})
			got, err := p.Get(t.Context(), blobnet.Sum(blob), nil)
			if !errors.Is(err, tt.want) || tt.want == nil && !bytes.Equal(got, blob) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if n := tt.c.tries.Load(); n != tt.tries {
				t.Errorf("asked %d times, want %d", n, tt.tries)
			}
		})
	}
}

func TestPartsOfDifferentFilesAreNotBelieved(t *testing.T) {
	blob := randomBlob(1_000_000, 1)
	first := &cutter{blob: randomBlob(1_000_000, 2), n: 300_000}
	rest := &cutter{blob: blob, n: 1 << 30, ranges: true}
	var tries atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			first.ServeHTTP(w, r)
		}
		rest.ServeHTTP(w, r)
	}))
	defer srv.Close()
	p := peerOf(t, PeerConfig{URL: srv.URL})
	if got, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil || !bytes.Equal(got, blob) || tries.Load() != 3 {
		t.Errorf("%d bytes in %d requests, %v", len(got), tries.Load(), err)
	}
}

func TestHostileServers(t *testing.T) {
	quick := Link{StallTimeout: 300 * time.Millisecond}
	write := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) }
	}
	status := func(n int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(n)
		}
	}
	for _, tt := range []struct {
		name  string
		link  Link
		want  error
		serve http.HandlerFunc
	}{
		{"wrong bytes", Link{}, blobnet.ErrCorrupt, write("evil")},
		{"no bytes", Link{}, blobnet.ErrCorrupt, write("")},
		{"endless body", Link{}, blobnet.ErrCorrupt, func(w http.ResponseWriter, r *http.Request) {
			for b := make([]byte, 64<<10); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}},
		{"promises too much", Link{}, blobnet.ErrCorrupt, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000000000000")
			w.(http.Flusher).Flush()
		}},
		{"promises more than it sends", Link{}, ErrLost, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "hello world")
		}},
		{"compresses", Link{}, ErrRefused, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "hello world")
		}},
		{"part unasked", Link{}, ErrRefused, status(206, "Content-Range", "bytes 0-10/11")},
		{"never answers", quick, ErrStalled, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"stops in mid-blob", quick, ErrStalled, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{"drips", quick, ErrStalled, func(w http.ResponseWriter, r *http.Request) {
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				if _, err := io.WriteString(w, "h"); err != nil || r.Context().Err() != nil {
					tick.Stop()
					return
				}
				w.(http.Flusher).Flush()
			}
		}},
		{"endless header", Link{}, nil, func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for _, err := io.WriteString(c, "X: y\r\n"); err == nil; {
				_, err = io.WriteString(c, "X: "+strings.Repeat("y", 1000)+"\r\n")
			}
		}},
		{"no HTTP", Link{}, nil, func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Write(randomBlob(10_000, 1))
			c.Close()
		}},
		{"not there", Link{}, blobnet.ErrNotFound, status(404)},
		{"gone", Link{}, blobnet.ErrNotFound, status(410)},
		{"forbidden", Link{}, ErrRefused, status(403)},
		{"broken", Link{}, ErrRefused, status(500)},
		{"busy", Link{}, blobnet.ErrBusy, status(503, "Retry-After", "7")},
		{"too many requests", Link{}, blobnet.ErrBusy, status(429, "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))},
		{"redirects in a circle", Link{}, ErrRefused, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
		{"redirects to a file", Link{}, ErrRefused, status(302, "Location", "file:///etc/passwd")},
		{"redirects to nowhere", Link{}, ErrRefused, status(302)},
		{"redirects to another private host", Link{}, ErrRefused, status(302, "Location", "http://127.0.0.2:80/")},
		{"redirects to metadata", Link{}, ErrRefused, status(302, "Location", "http://169.254.169.254/latest")},
		{"is private", Link{PublicOnly: true}, ErrRefused, write("hello world")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tt.serve)
			t.Cleanup(srv.Close)
			var ev events
			p := peerOf(t, PeerConfig{URL: srv.URL, Link: tt.link, OnEvent: ev.add})
			got, err := p.Get(t.Context(), hello, []byte("dst"))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || string(got) != "dst" {
				t.Fatalf("got %q, %v, want %v", got, err, tt.want)
			}
			var mis interface{ Misbehaviour() bool }
			if _, told := ev.find(KindMisbehaviour); errors.As(err, &mis) != (tt.want == blobnet.ErrCorrupt) || told != (tt.want == blobnet.ErrCorrupt) {
				t.Errorf("misbehaviour is not told from failure: %v", err)
			}
			bytes := map[string]int64{"wrong bytes": 4, "endless body": blobnet.MaxBlobSize + 1}[tt.name]
			if e, _ := ev.find(KindMisbehaviour); e.Bytes != bytes {
				t.Errorf("%d bytes came in vain, want %d", e.Bytes, bytes)
			}
			var busy *BusyError
			if errors.As(err, &busy) && (busy.RetryAfter() < 7*time.Second || busy.RetryAfter() > time.Minute) {
				t.Errorf("ask again in %v", busy.RetryAfter())
			}
		})
	}
}

func TestRedirectsAreFollowedWithinBoundsAndWithoutSecrets(t *testing.T) {
	dir := lay(t, []byte("hello world"), helloHex)
	var leaked atomic.Bool
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" || strings.Contains(r.URL.RawQuery, "hidden") {
			leaked.Store(true)
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	defer cdn.Close()
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if user != "me" || pass != "secret" || r.Header.Get("X-Key") != "k" || r.URL.RawQuery != "token=hidden" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, cdn.URL+strings.TrimPrefix(r.URL.Path, "/blobs"), http.StatusTemporaryRedirect)
	})
	srv := httptest.NewServer(front)
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	header := http.Header{"X-Key": {"k"}}
	var dialer net.Dialer // it connects to a private address, too
	p := peerOf(t, PeerConfig{URL: "http://me:secret@" + host + "/?token=hidden#part", Link: Link{Header: header, DialContext: dialer.DialContext}})
	if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" || leaked.Load() {
		t.Errorf("%q %v, leaked %v", got, err, leaked.Load())
	}
	if p.Name() != srv.URL {
		t.Error(p.Name())
	}
	secure := httptest.NewTLSServer(front) // which redirects to http
	defer secure.Close()
	tlsHost := strings.TrimPrefix(secure.URL, "https://")
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
	_, err := peerOf(t, PeerConfig{URL: "https://me:secret@" + tlsHost + "/?token=hidden", Link: Link{Header: header, TLS: trust}}).Get(t.Context(), hello, nil)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "https to http") {
		t.Error(err)
	}
	for _, u := range []string{
		"http://me:secret@" + host + "/?token=hidden&x", "http://me:secret@127.0.0.1:1/?token=hidden", "http://me:secret@127.0.0.1:99999/?token=hidden",
		"http://me:secret@:80:80/?token=hidden", "ftp://me:secret@127.0.0.1/?token=hidden", "http://me:secret%zz@h/?token=hidden",
	} {
		p, err := NewPeer(PeerConfig{URL: u})
		if err == nil {
			_, err = p.Get(t.Context(), hello, nil)
			p.Close()
		}
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "me:") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestBucketThatForbidsWhatIsNotThere(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/blobs/"+helloHex {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		io.WriteString(w, "hello world")
	}))
	defer srv.Close()
	p := peerOf(t, PeerConfig{URL: srv.URL})
	if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if _, err := p.Get(t.Context(), hello, nil); err != nil {
		t.Error(err)
	}
	if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
}

func TestCancelledGetEndsAndLeavesDstAlone(t *testing.T) {
	begun, over := make(chan struct{}, 10), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		<-over
	}))
	defer srv.Close()
	defer close(over)
	p := peerOf(t, PeerConfig{URL: srv.URL, Parallel: 1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	dst := make([]byte, 0, 100_000)
	if _, err := p.Get(ctx, hello, dst); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	clear(dst[:cap(dst)]) // the race detector sees a write from elsewhere
	if _, err := p.Get(ctx, hello, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
