package node

import (
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
		if !strings.Contains(p, "://") {
			addrs = append(addrs, p)
			continue
		}
		if err := checkURL(p); err != nil {
			return n, badRequest("--peer: %w", err)
		}
		n.urls = append(n.urls, p)
	}
	if n.infos, err = transport.ParsePeers(addrs); err != nil {
		return n, badRequest("%w", err)
	}
	return n, nil
}

// CheckPeers says what is wrong with the peers that a request will name. It
// needs no node.
func CheckPeers(peers []string) error {
	_, err := parsePeers(peers)
	return err
}
