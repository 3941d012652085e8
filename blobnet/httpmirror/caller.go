package httpmirror

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/anonymous-media-library/aml/internal/public"
)

// caller makes requests to one server and follows where it redirects, within
// bounds.
type caller struct {
	base  url.URL // without user, query and fragment, and without a slash at the end
	user  *url.Userinfo
	query string
	link  Link
	own   *http.Transport // for the server
	other *http.Transport // for where it redirects
}

// maxHops is how many redirects are followed.
const maxHops = 5

// shown is as much of what should be a URL as may be told: no user, query or
// fragment.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		scheme, _, _ := strings.Cut(raw, "://")
		return scheme + "://..."
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// newCaller reads the URL of a server. Errors do not tell what of it may be
// secret.
func newCaller(raw string, link Link, parallel int) (*caller, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("httpmirror: %q is not http://HOST/PATH or https://HOST/PATH", shown(raw))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("httpmirror: %q: there is no port %s", shown(raw), port)
		}
	}
	if err := bounds(&link.StallTimeout, &link.LeastRate); err != nil {
		return nil, err
	}
	if link.Proxy == nil {
		link.Proxy = http.ProxyFromEnvironment
	}
	c := &caller{user: u.User, query: u.RawQuery, link: link}
	c.base = url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}
	c.own = c.transport(link.PublicOnly, parallel)
	c.other = c.transport(true, parallel)
	return c, nil
}

func (c *caller) transport(public bool, parallel int) *http.Transport {
	t := &http.Transport{
		DialContext:            c.link.DialContext,
		TLSClientConfig:        c.link.TLS,
		TLSHandshakeTimeout:    c.link.StallTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // blobs do not shrink, and a small body could become a large one
		MaxConnsPerHost:        parallel,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if c.link.DialContext == nil {
		d := &net.Dialer{Timeout: c.link.StallTimeout}
		t.Proxy = c.link.Proxy
		if public {
			d.Control = onlyPublic
			t.Proxy = c.noProxy
		}
		t.DialContext = d.DialContext
	}
	return t
}

var errProxy = fmt.Errorf("%w: it leads past the proxy that is set, or through it to who knows what; give the URL that it leads to, or name its host in NO_PROXY", ErrRefused)

// noProxy refuses a request that the user wants to go by a proxy, where the
// address has to be public: behind a proxy that cannot be seen, and to connect
// without it is not what the user wants.
func (c *caller) noProxy(r *http.Request) (*url.URL, error) {
	if proxy, err := c.link.Proxy(r); proxy != nil || err != nil {
		return nil, errProxy
	}
	return nil, nil
}

// onlyPublic looks at the address that is about to be connected to, after names were
// looked up.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !public.Addr(ap.Addr()) {
		return errPrivate
	}
	return nil
}

var errPrivate = fmt.Errorf("%w: it is, or leads to, an address that is not public", ErrRefused)

// name is the URL without what may be secret.
func (c *caller) name() string { return c.base.String() }

func (c *caller) close() {
	c.own.CloseIdleConnections()
	c.other.CloseIdleConnections()
}

// origin is what tells one server from another: another port is one that the
// user did not name.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// do makes one request for a path below the base. The body of the response is
// the caller's to close. A redirect it could not follow is ErrRefused.
func (c *caller) do(ctx context.Context, method, rel string, header http.Header, body []byte) (*http.Response, error) {
	u := c.base
	u.Path += "/" + rel
	u.RawQuery = c.query
	for range maxHops + 1 {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("%w: it leads to a wrong URL", ErrRefused)
		}
		if body != nil {
			req.Body = io.NopCloser(bytes.NewReader(body))
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			req.ContentLength = int64(len(body))
		}
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", "aml")
		t := c.other
		if origin(&u) == origin(&c.base) {
			t = c.own
			for k, v := range c.link.Header {
				req.Header[http.CanonicalHeaderKey(k)] = v
			}
			if c.user != nil {
				pass, _ := c.user.Password()
				req.SetBasicAuth(c.user.Username(), pass)
			}
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return nil, withoutURL(ctx, err)
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
			if method != http.MethodGet && method != http.MethodHead {
				return resp, nil
			}
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return resp, nil
		}
		discard(resp)
		next, err := u.Parse(resp.Header.Get("Location"))
		switch {
		case err != nil || next.Hostname() == "" || next.Scheme != "http" && next.Scheme != "https":
			return nil, fmt.Errorf("%w: it redirects to what is no HTTP URL", ErrRefused)
		case u.Scheme == "https" && next.Scheme == "http":
			return nil, fmt.Errorf("%w: it redirects from https to http", ErrRefused)
		}
		next.User, next.Fragment = nil, ""
		u = *next
	}
	return nil, fmt.Errorf("%w: it redirects more than %d times", ErrRefused, maxHops)
}

// discard closes a response of which nothing is wanted, after a little of it so
// that the connection can be used again.
func discard(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}
