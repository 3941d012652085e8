package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/node/api"
)

// entryOf ingests a new file into a home and returns its FileEntry's path.
func entryOf(t *testing.T, home string) string {
	t.Helper()
	file, entry := filepath.Join(home, "file"), filepath.Join(home, "entry.json")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	noise(t, file, 200_000, 1)
	ok(t, home, "ingest", "-i", file, "-o", entry, "--chunk-size", "64KiB")
	return entry
}

func TestAFetchFromASilentServerEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections wait in its queue
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dir := t.TempDir()
	entry := entryOf(t, filepath.Join(dir, "p"))
	addr := l.Addr().(*net.TCPAddr)
	_, port, _ := net.SplitHostPort(addr.String())
	for name, peer := range map[string]string{
		"http":   "http://" + addr.String(),
		"ws":     "ws://" + addr.String() + "/",
		"libp2p": "/ip4/127.0.0.1/tcp/" + port + "/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := filepath.Join(dir, name)
			fails(t, 4, home, []string{"blob-fetch", "-i", entry, "-o", filepath.Join(dir, name+".out"), "--timeout", "1s", "--peer", peer}, "no answer yet")
		})
	}
}

func TestAMirrorThatSendsSomethingElseIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entry := entryOf(t, filepath.Join(dir, "p"))
	www := filepath.Join(dir, "www")
	ok(t, filepath.Join(dir, "p"), "blob-push-http", www, "-i", entry)
	for name, test := range map[string]struct {
		code  int
		words []string
		serve http.HandlerFunc
	}{
		"a web page": {5, []string{"it is a web page"}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<html>welcome</html>"))
		}},
		"a byte is wrong": {5, []string{"does not hash to its id"}, func(w http.ResponseWriter, r *http.Request) {
			blob, err := os.ReadFile(filepath.Join(www, filepath.FromSlash(r.URL.Path)))
			if err != nil {
				http.NotFound(w, r)
				return
			}
			blob[len(blob)-1] ^= 1
			w.Write(blob)
		}},
		"nothing":   {4, []string{"blob not found"}, http.NotFound},
		"forbidden": {4, []string{"HTTP 401"}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(test.serve)
			defer srv.Close()
			home := filepath.Join(dir, filepath.Base(name))
			fails(t, test.code, home, []string{"blob-fetch", "-i", entry, "-o", home + ".out", "--timeout", "1s", "--peer", srv.URL}, append(test.words, srv.URL)...)
		})
	}
}

func TestAFetchThatKeepsMoreThanTheQuotaHoldsSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entry := entryOf(t, filepath.Join(dir, "p"))
	www, home, out := filepath.Join(dir, "www"), filepath.Join(dir, "f"), filepath.Join(dir, "out")
	ok(t, filepath.Join(dir, "p"), "blob-push-http", www, "-i", entry)
	srv := httptest.NewServer(http.FileServer(http.Dir(www)))
	defer srv.Close()
	fetch := func(quota string) (errs string, res api.FetchResult) {
		t.Helper()
		text, errs, code := amlRun(t, home, "blob-fetch", "-i", entry, "-o", out, "--keep-blobs", "--json", "--peer", srv.URL, "--set", "minfree=0", "--set", "quota="+quota)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		if err := json.Unmarshal([]byte(text), &res); err != nil {
			t.Fatal(err)
		}
		return errs, res
	}
	errs, res := fetch("140KiB") // two chunks of four and the index
	if res.Blobs != 5 || res.Unkept < 1 || res.Unkept > 4 || !strings.Contains(errs, fmt.Sprintf("%d of 5 blobs are not kept", res.Unkept)) {
		t.Errorf("%+v, %s", res, errs)
	}
	out += "-again"
	if errs, res = fetch("10GiB"); res.Unkept != 0 || res.Blobs != 5 || errs != "" {
		t.Errorf("with room: %+v, %s", res, errs)
	}
}

func TestAPushThatIsNotCompleteSaysWhatWasCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entry := entryOf(t, filepath.Join(dir, "p"))
	var puts atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPut:
			http.NotFound(w, r)
		case puts.Add(1) == 1:
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	out, errs, code := amlRun(t, filepath.Join(dir, "p"), "blob-push-http", srv.URL, "-i", entry, "--json")
	var res api.PushResult
	if err := json.Unmarshal([]byte(out), &res); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	if res.Pushed != 1 || res.Failed != 4 || !strings.Contains(errs, "HTTP 403") || !strings.Contains(errs, "AML_HTTP_AUTHORIZATION") {
		t.Errorf("%+v\n%s", res, errs)
	}
}
