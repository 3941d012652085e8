package node

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/node/transport"
)

// named are peers that a user named.
type named struct {
	infos []peer.AddrInfo // by multiaddr
	urls  []string        // WebSocket peers and HTTP mirrors
}

// parsePeers reads what is given as --peer: multiaddrs that end in a peer's id,
// and URLs.
func parsePeers(peers []string) (n named, err error) {
	var addrs []string
	for _, p := range peers {
		isURL := strings.Contains(p, "://")
		switch {
		case isURL && !validURL(p), !isURL && secretive(p) && !validAddr(p):
			return n, badRequest("--peer: %s is not a peer: want a multiaddr such as /ip4/192.168.1.5/tcp/4001/p2p/ID, ws://HOST:PORT/ or https://HOST/PATH", shown(p))
		case isURL:
			n.urls = append(n.urls, p)
		default:
			addrs = append(addrs, p)
		}
	}
	if n.infos, err = transport.ParsePeers(addrs); err != nil {
		return n, badRequest("%w", err)
	}
	return n, nil
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) && u.Host != ""
}

func validAddr(s string) bool {
	_, err := transport.ParsePeers([]string{s})
	return err == nil
}

// secretive reports whether s looks like a URL that was mistyped: a password or
// token may be in it.
func secretive(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	return strings.ContainsAny(s, "@?#") || strings.HasPrefix(s, "http") || strings.HasPrefix(s, "ws")
}

// shown is what an error may tell of what ought to be a URL: no more than a
// scheme that is one.
func shown(s string) string {
	scheme, _, ok := strings.Cut(strings.TrimSpace(s), ":")
	for _, c := range scheme {
		if c < 'A' || c > 'z' || c > 'Z' && c < 'a' {
			scheme = ""
		}
	}
	if !ok || scheme == "" {
		return "what was given"
	}
	return strconv.Quote(scheme + ":...")
}
