package podcast

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anonymous-media-library/aml/internal/public"
)

const maxRedirects = 10

// reach is how far a feed and what it refers to may lead: to the Internet, and to hosts
// that the operator has named. The feed's own host is one of these, but it says itself
// what its name stands for, and could say something else for the files than for the
// feed. So the files may be where the feed was, and one that was on the Internet stays
// there.
type reach struct {
	feed, files *http.Client
	host        string          // the feed's own
	private     map[string]bool // other hosts that the operator has named

	mu     sync.Mutex
	public bool         // the feed's host is, or was, on the Internet
	at     []netip.Addr // if it is not: where the feed was read
}

// reachOf is that of a feed.
func (p *podcast) reachOf(from string) (*reach, error) {
	u, err := url.Parse(from)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%.200q is no URL", plain(from))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.reach[from]
	if r == nil {
		r = &reach{host: strings.ToLower(u.Hostname()), private: p.private}
		r.feed, r.files = r.client(r.mayRead), r.client(r.mayFetch)
		p.reach[from] = r
	}
	return r, nil
}

// client makes one whose connections to the feed's host are looked at by may.
func (r *reach) client(may func(netip.Addr) bool) *http.Client {
	dial := func(may func(netip.Addr) bool) func(context.Context, string, string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err == nil && !may(at.Addr().Unmap()) {
				err = fmt.Errorf("%s is a private address, which a feed may not refer to; see the setting private", at.Addr())
			}
			return err
		}}).DialContext
	}
	own, named, others := dial(may), dial(func(netip.Addr) bool { return true }), dial(public.Addr)
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				name, _, _ := net.SplitHostPort(address)
				switch name = strings.ToLower(name); {
				case r.private[name]:
					return named(ctx, network, address)
				case name == r.host:
					return own(ctx, network, address)
				}
				return others(ctx, network, address)
			},
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: quiet, IdleConnTimeout: time.Minute,
			MaxIdleConns: 16, MaxConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return speakable(req.URL)
		},
	}
}

// mayRead is for the feed, which says where its host is.
func (r *reach) mayRead(at netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.public = r.public || public.Addr(at); r.public {
		return public.Addr(at)
	}
	if !slices.Contains(r.at, at) {
		r.at = append(r.at, at)
		r.at = r.at[max(0, len(r.at)-8):]
	}
	return true
}

// mayFetch is for the files.
func (r *reach) mayFetch(at netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return public.Addr(at) || !r.public && slices.Contains(r.at, at)
}

// wasPublic says that the feed was on the Internet, before this process.
func (r *reach) wasPublic() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.public = true
}

func (r *reach) isPublic() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.public
}
