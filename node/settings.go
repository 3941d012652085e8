package node

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/transport"
)

// settings are what the configuration says, in the words of the rooms below.
type settings struct {
	peers            named
	listen, announce []multiaddr.Multiaddr
	relays           []peer.AddrInfo
	relay            transport.Relay
	upload, download limit.Config
	ws, http         string // HOST:PORT, empty for none
}

// CheckConfig says what is wrong with a configuration, before a node is started
// with it. Errors are ErrUsage and name the key.
func CheckConfig(cfg config.Config) error {
	_, err := readSettings(cfg)
	return err
}

func readSettings(cfg config.Config) (s settings, err error) {
	if s.peers, err = parsePeers(cfg.Peers); err != nil {
		return s, err
	}
	if s.listen, err = transport.ParseListen(cfg.Listen); err != nil {
		return s, badRequest("listen: %w", err)
	}
	if s.announce, err = parseAnnounce(cfg.Announce); err != nil {
		return s, badRequest("announce: %w", err)
	}
	if s.relays, err = transport.ParsePeers(cfg.Relays); err != nil {
		return s, badRequest("relays: %w", err)
	}
	if s.relay, err = parseRelay(cfg.Relay); err != nil {
		return s, badRequest("relay: %w", err)
	}
	if s.upload, err = limit.Parse(cfg.Upload, time.Local); err != nil {
		return s, badRequest("upload: %w", err)
	}
	if hasClasses(s.upload) {
		return s, badRequest("upload: classes limit downloads alone, since who asks for a blob tells nobody what for")
	}
	if s.download, err = limit.Parse(cfg.Download, time.Local); err != nil {
		return s, badRequest("download: %w", err)
	}
	if s.ws, err = parsePort(cfg.WS, onLoopback(s.listen)); err != nil {
		return s, badRequest("ws: %w", err)
	}
	if s.http, err = parsePort(cfg.HTTP, onLoopback(s.listen)); err != nil {
		return s, badRequest("http: %w", err)
	}
	return s, nil
}

// hasClasses reports whether limits name classes, at any hour.
func hasClasses(c limit.Config) bool {
	none := [blobnet.Classes]int64{}
	return c.Class != none || slices.ContainsFunc(c.Schedule, func(h limit.Hours) bool { return h.Class != none })
}

func parseAnnounce(addrs []string) ([]multiaddr.Multiaddr, error) {
	out := make([]multiaddr.Multiaddr, len(addrs))
	for i, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q: %w; want a multiaddr such as /ip4/203.0.113.7/tcp/4001", s, err)
		}
		out[i] = a
	}
	return out, nil
}

// parseRelay reads "off", "coordinate", or how many bytes per second of bulk
// are relayed.
func parseRelay(s string) (transport.Relay, error) {
	switch s {
	case "", "off", "false":
		return transport.Relay{}, nil
	case "coordinate":
		return transport.Relay{Coordinate: true}, nil
	}
	rate, err := config.ParseSize(strings.TrimSuffix(s, "/s"))
	if err != nil || rate == 0 {
		return transport.Relay{}, fmt.Errorf("%q: want off, coordinate, or bytes per second of bulk such as 1MiB", s)
	}
	return transport.Relay{Coordinate: true, Bulk: transport.RelayBulk{BytesPerSecond: rate}}, nil
}

// onLoopback reports whether there are addresses to listen on and nobody but
// this machine reaches them.
func onLoopback(listen []multiaddr.Multiaddr) bool {
	for _, a := range listen {
		if !manet.IsIPLoopback(a) {
			return false
		}
	}
	return len(listen) > 0
}

// parsePort reads a port, which stands for every interface, or for loopback
// alone if the node listens nowhere else; or HOST:PORT.
func parsePort(s string, loopback bool) (string, error) {
	if s == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if host, port = "", s; loopback {
			host = "127.0.0.1"
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q: want a port, 0 for a free one, or HOST:PORT such as 127.0.0.1:6881", s)
	}
	return net.JoinHostPort(host, port), nil
}
