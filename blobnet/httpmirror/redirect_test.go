package httpmirror

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The other services of the machine, or network, that a mirror is on are none
// of its business, nor of whoever controls its name.
func TestAMirrorCannotSendANodeToAnotherPortOfItsHost(t *testing.T) {
	var asked atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, "hello world")
	}))
	defer inner.Close()
	secure := httptest.NewTLSServer(inner.Config.Handler)
	defer secure.Close()
	var to atomic.Value
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			io.WriteString(w, "hello world")
			return
		}
		http.Redirect(w, r, to.Load().(string), http.StatusFound)
	}))
	defer mirror.Close()
	named := func(url, name string) string { return strings.Replace(url, "127.0.0.1", name, 1) }
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
	for _, name := range []string{"127.0.0.1", "localhost"} {
		for _, target := range []string{inner.URL, secure.URL} {
			to.Store(named(target, name) + "/admin")
			p := peerOf(t, PeerConfig{URL: named(mirror.URL, name), Link: Link{TLS: trust}})
			if got, err := p.Get(t.Context(), hello, nil); !errors.Is(err, ErrRefused) || asked.Load() != 0 {
				t.Errorf("sent to %s: %q, %v; it was asked %d times", to.Load(), got, err, asked.Load())
			}
		}
		// Elsewhere on the server itself.
		for _, target := range []string{"/moved", named(mirror.URL, name) + "/moved", named(mirror.URL, strings.ToUpper(name)) + "/moved"} {
			to.Store(target)
			p := peerOf(t, PeerConfig{URL: named(mirror.URL, name)})
			if got, err := p.Get(t.Context(), hello, nil); err != nil || string(got) != "hello world" {
				t.Errorf("sent to %s: %q, %v", target, got, err)
			}
		}
	}
}
