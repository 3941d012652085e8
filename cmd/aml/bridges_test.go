package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// urls waits for the listening event and returns the URLs in it.
func (p *program) urls() []string {
	p.t.Helper()
	var l struct{ URLs []string }
	p.wait("listening").decode(p.t, &l)
	return l.URLs
}

func TestAFileComesByWebSocketByHTTPAndFromAPlainFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, seed := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "p")
	content := noise(t, file, 5<<20+17, 3)
	ok(t, seed, "ingest", "-i", file, "-o", entry)
	urls := start(t, seed, "blob-seed", "-i", entry, "--ws=127.0.0.1:0", "--http=127.0.0.1:0").urls()
	if len(urls) != 2 || !strings.HasPrefix(urls[0], "ws://127.0.0.1:") || !strings.HasPrefix(urls[1], "http://127.0.0.1:") {
		t.Fatalf("served are %q", urls)
	}
	www := filepath.Join(dir, "www")
	ok(t, seed, "blob-push-http", www, "-i", entry)
	plain := httptest.NewServer(http.FileServer(http.Dir(www)))
	defer plain.Close()
	for name, url := range map[string]string{"ws": urls[0], "http": urls[1], "plain": plain.URL} {
		out := filepath.Join(dir, name)
		ok(t, filepath.Join(dir, "home-"+name), "blob-fetch", "-i", entry, "-o", out, "--peer", url)
		if got, err := os.ReadFile(out); err != nil || string(got) != string(content) {
			t.Errorf("what came by %s differs: %v", name, err)
		}
	}
}
