package httpmirror

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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

// Whoever set a proxy has a reason: no mirror makes the node go around it, nor
// ask by it for what nobody can see to be public.
func TestARedirectDoesNotGoAroundTheProxy(t *testing.T) {
	mirror := httptest.NewServer(http.RedirectHandler("http://203.0.113.6:81/blobs/"+helloHex, http.StatusFound))
	defer mirror.Close()
	var chosen, proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	by := func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "127.0.0.1" {
			return nil, nil
		}
		chosen.Add(1)
		return url.Parse(proxy.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p := peerOf(t, PeerConfig{URL: mirror.URL, Link: Link{Proxy: by}})
	if _, err := p.Get(ctx, hello, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "proxy") || proxied.Load() != 0 || chosen.Load() == 0 {
		t.Errorf("%v; the proxy was asked %d times", err, proxied.Load())
	}
	public := peerOf(t, PeerConfig{URL: "http://203.0.113.6:81/", Link: Link{Proxy: by, PublicOnly: true}})
	if _, err := public.Get(ctx, hello, nil); !errors.Is(err, ErrRefused) || proxied.Load() != 0 {
		t.Errorf("%v; the proxy was asked %d times", err, proxied.Load())
	}
	own := peerOf(t, PeerConfig{URL: "http://203.0.113.6:81/", Link: Link{Proxy: by}})
	if _, err := own.Get(ctx, hello, nil); err == nil || proxied.Load() == 0 {
		t.Errorf("what the user gave does not go by the proxy: %v", err)
	}
}
