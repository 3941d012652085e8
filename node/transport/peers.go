package transport

import (
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// peerExample is what error messages show.
const peerExample = "/ip4/192.168.1.5/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

// ParsePeers reads what a user gives as --peer: an address that ends in /p2p/
// and the peer's id, without which nothing would tell a peer from an impostor.
// Addresses of one id are merged; order is kept, of peers and of addresses.
// Nothing is resolved or contacted. Errors quote the argument and show an
// example.
func ParsePeers(args []string) ([]peer.AddrInfo, error) {
	var out []peer.AddrInfo
	for _, arg := range args {
		info, err := parsePeer(strings.TrimSpace(arg))
		if err != nil {
			return nil, fmt.Errorf("peer address %q: %w; an example: %s", arg, err, peerExample)
		}
		i := slices.IndexFunc(out, func(p peer.AddrInfo) bool { return p.ID == info.ID })
		if i < 0 {
			out = append(out, info)
			continue
		}
		for _, a := range info.Addrs {
			if !slices.ContainsFunc(out[i].Addrs, a.Equal) {
				out[i].Addrs = append(out[i].Addrs, a)
			}
		}
	}
	return out, nil
}

func parsePeer(arg string) (peer.AddrInfo, error) {
	if arg == "" {
		return peer.AddrInfo{}, fmt.Errorf("it is empty")
	}
	if !strings.HasPrefix(arg, "/") {
		return peer.AddrInfo{}, fmt.Errorf("it is not a multiaddr, which begins with a slash")
	}
	a, err := ma.NewMultiaddr(arg)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	transport, id := peer.SplitAddr(a)
	if id == "" {
		return peer.AddrInfo{}, fmt.Errorf("it does not end in /p2p/ and a peer id")
	}
	if len(transport) == 0 {
		return peer.AddrInfo{}, fmt.Errorf("it has a peer id, but no address to reach it at")
	}
	if err := checkDial(transport); err != nil {
		return peer.AddrInfo{}, err
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}}, nil
}
