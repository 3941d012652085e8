package httpmirror

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// ask makes a request and returns the answer with its body.
func ask(t testing.TB, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestBlobsAreServedWithRangesAndForEverCached(t *testing.T) {
	var ev events
	url := start(t, ServerConfig{HandlerConfig: HandlerConfig{Store: newStore([]byte("hello world"), nil), OnEvent: ev.add}})
	for _, tt := range []struct {
		method, path string
		header       []string
		status       int
		body         string
		want         []string // headers
	}{
		{"GET", "/blobs/" + helloHex, nil, 200, "hello world", []string{
			"Content-Type", "application/octet-stream", "Content-Length", "11", "ETag", `"` + helloHex + `"`, "Accept-Ranges", "bytes",
			"Cache-Control", "public, max-age=31536000, immutable", "X-Content-Type-Options", "nosniff",
			"Content-Security-Policy", "default-src 'none'; sandbox", "Access-Control-Allow-Origin", ""}},
		{"HEAD", "/blobs/" + helloHex, nil, 200, "", []string{"Content-Length", "11"}},
		{"GET", "/blobs/" + helloHex, []string{"Range", "bytes=6-"}, 206, "world", []string{"Content-Range", "bytes 6-10/11"}},
		{"GET", "/blobs/" + helloHex, []string{"Range", "bytes=20-"}, 416, "invalid range: failed to overlap\n", []string{"Content-Range", "bytes */11"}},
		{"GET", "/blobs/" + helloHex, []string{"If-None-Match", `"` + helloHex + `"`}, 304, "", nil},
		{"GET", "/blobs/" + helloHex, []string{"Range", "bytes=6-", "If-Range", `"other"`}, 200, "hello world", nil},
		{"GET", "/blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", nil, 200, "", []string{"Content-Length", "0"}},
		{"GET", "/ipfs/" + helloCID + "?format=raw", nil, 200, "hello world", []string{"Content-Type", "application/vnd.ipld.raw", "ETag", `"` + helloCID + `.raw"`,
			"Content-Disposition", `attachment; filename="` + helloCID + `.bin"`}},
		{"GET", "/ipfs/" + helloCID, []string{"Accept", "application/vnd.ipld.raw"}, 200, "hello world", nil},
		{"GET", "/ipfs/" + helloCID, nil, 400, "only raw blocks are here: ask with ?format=raw\n", []string{"Cache-Control", "no-store"}},
		{"GET", "/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG?format=raw", nil, 400, "a blob's CID is version 1, raw, sha2-256, in base32: bafkrei and 52 characters\n", nil},
		{"GET", "/ipfs/" + helloCID[:58] + "f?format=raw", nil, 400, "a blob's CID is version 1, raw, sha2-256, in base32: bafkrei and 52 characters\n", nil},
		{"GET", "/blobs/" + strings.Repeat("ab", 32), nil, 404, "no such blob here\n", []string{"Cache-Control", "public, max-age=10"}},
		{"GET", "/blobs/abc", nil, 400, "blob id has 3 characters, want 64 hex digits\n", []string{"Cache-Control", "no-store", "X-Content-Type-Options", "nosniff"}},
		{"GET", "/blobs/" + strings.ToUpper(helloHex), nil, 400, "blob id has the character 'B', want lower-case hex digits\n", nil},
		{"GET", "/blobs/../../etc/passwd", nil, 400, "blob id has 16 characters, want 64 hex digits\n", nil},
		{"GET", "/blobs/", nil, 400, "blob id has 0 characters, want 64 hex digits\n", nil},
		{"GET", "/", nil, 404, "only /blobs/<hex id> and /ipfs/<cid>?format=raw are here\n", nil},
		{"PUT", "/blobs/" + helloHex, nil, 405, "blobs are read by GET and HEAD, and cannot be written here\n", []string{"Allow", "GET, HEAD"}},
		{"DELETE", "/blobs/" + helloHex, nil, 405, "blobs are read by GET and HEAD, and cannot be written here\n", nil},
		// Web pages of others, and such as have their own name lead to this machine.
		{"GET", "/blobs/" + helloHex, []string{"Sec-Fetch-Site", "cross-site"}, 403, "other sites may not ask here\n", nil},
		{"GET", "/blobs/" + helloHex, []string{"Sec-Fetch-Site", "same-site"}, 403, "other sites may not ask here\n", nil},
		{"GET", "/blobs/" + helloHex, []string{"Sec-Fetch-Site", "none"}, 200, "hello world", nil},
		{"GET", "/blobs/" + helloHex, []string{"Host", "evil.example:80"}, 421, "this is not the host that was asked for\n", nil},
		{"GET", "/blobs/" + helloHex, []string{"Host", "localhost:80"}, 200, "hello world", nil},
		{"GET", "/blobs/" + helloHex, []string{"Host", "[::1]"}, 200, "hello world", nil},
	} {
		resp, body := ask(t, tt.method, url+tt.path, tt.header...)
		if resp.StatusCode != tt.status || body != tt.body {
			t.Errorf("%s %s %q: %d %q", tt.method, tt.path, tt.header, resp.StatusCode, body)
		}
		for i := 0; i < len(tt.want); i += 2 {
			if got := resp.Header.Get(tt.want[i]); got != tt.want[i+1] {
				t.Errorf("%s %s %q: %s is %q, want %q", tt.method, tt.path, tt.header, tt.want[i], got, tt.want[i+1])
			}
		}
	}
	if e, ok := ev.find(KindUpload); !ok || e.ID != hello || e.Bytes != 11 || e.Err != nil {
		t.Errorf("event %+v", e)
	}
}

func TestPagesOfListedOriginsMayRead(t *testing.T) {
	store := newStore([]byte("hello world"))
	for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": ""} {
		url := start(t, ServerConfig{HandlerConfig: HandlerConfig{Store: store, Origins: []string{"https://a.example"}, Hosts: []string{"proxy.example"}}})
		resp, _ := ask(t, "GET", url+"/blobs/"+helloHex, "Origin", origin, "Sec-Fetch-Site", "cross-site", "Host", "proxy.example")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || (resp.StatusCode == 200) != (want != "") {
			t.Errorf("%s: %q, %d", origin, got, resp.StatusCode)
		}
	}
	url := start(t, ServerConfig{HandlerConfig: HandlerConfig{Store: store, Origins: []string{"*"}}})
	if resp, _ := ask(t, "GET", url+"/blobs/"+helloHex, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// dial sends bytes and returns what comes until the server ends it.
func dial(t *testing.T, url, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	b, _ := io.ReadAll(bufio.NewReader(c))
	return string(b)
}

func TestClientsThatWasteTheServersTimeAreCutOff(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	var ev events
	url := start(t, ServerConfig{IdleTimeout: 100 * time.Millisecond,
		HandlerConfig: HandlerConfig{Store: newStore(blob), OnEvent: ev.add, StallTimeout: 200 * time.Millisecond}})
	dial(t, url, "")
	dial(t, url, "GET /blobs/")
	dial(t, url, strings.Repeat("x", 100_000))
	dial(t, url, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 100_000)+"\r\n\r\n")
	dial(t, url, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // never closes
	dial(t, url, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx")

	// One that asks for much and reads nothing.
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		fmt.Fprintf(c, "GET /blobs/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", blobnet.Sum(blob))
	}
	for stop := time.After(20 * time.Second); ; {
		ev.mu.Lock()
		n, last := len(ev.list), Event{}
		if n > 0 {
			last = ev.list[n-1]
		}
		ev.mu.Unlock()
		if last.Err != nil {
			break
		}
		select {
		case <-stop:
			t.Fatal("it is served for ever")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTwoHundredConnectionsFromOneAddress(t *testing.T) {
	url := start(t, ServerConfig{MaxConnsPerIP: 16, HandlerConfig: HandlerConfig{Store: newStore([]byte("hello world"))}})
	open := 0
	for range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			continue
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "GET /blobs/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", helloHex)
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && line == "HTTP/1.1 200 OK\r\n" {
			open++
		}
	}
	if open != 16 {
		t.Errorf("%d of 200 are served", open)
	}
}

// counter is a Limiter that only counts.
type counter struct {
	mu    sync.Mutex
	bytes map[string]int
}

func (c *counter) Wait(ctx context.Context, peer string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes[peer] += n
	return ctx.Err()
}

func TestWhatIsSentWaitsForTheLimiter(t *testing.T) {
	c := &counter{bytes: map[string]int{}}
	blob := randomBlob(300_000, 1)
	url := start(t, ServerConfig{HandlerConfig: HandlerConfig{Store: newStore(blob), Upload: c}})
	if _, body := ask(t, "GET", url+"/blobs/"+blobnet.Sum(blob).String()); !bytes.Equal([]byte(body), blob) {
		t.Error("other bytes came")
	}
	if c.bytes["127.0.0.1"] != 300_000 {
		t.Errorf("%v", c.bytes)
	}
}

func FuzzParseCID(f *testing.F) {
	f.Add(helloCID)
	f.Add("bafkrei")
	f.Add(strings.Repeat("b", 59))
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := parseCID(s); err == nil && id.CID() != s {
			t.Errorf("%q is %s", s, id)
		}
	})
}

func TestNoRequestBeginsAfterTheServerHasEnded(t *testing.T) {
	s, err := NewServer(ServerConfig{Addr: "127.0.0.1:0", HandlerConfig: HandlerConfig{Store: newStore([]byte("hello world"))}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s.enter() {
		t.Error("one began")
	}
}
