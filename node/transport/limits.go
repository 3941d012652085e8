package transport

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/pbnjay/memory"
)

const (
	minAutoMemory = 256 << 20
	maxAutoMemory = 1 << 30

	// streamsPerConn is how many streams a connection has on average when
	// all connections are in use: identify, gossip both ways, look-ups, and
	// two to four for blobs each way.
	streamsPerConn = 16
)

// resourceManager bounds what all peers together, and each peer, may cost.
// A MaxMemory of zero means a share of the machine's.
func resourceManager(cfg *Config) (network.ResourceManager, error) {
	maxConns, maxMemory := cfg.MaxConns, cfg.MaxMemory
	if maxMemory == 0 {
		maxMemory = min(max(int64(memory.TotalMemory()/8), minAutoMemory), maxAutoMemory)
	}
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	defaults := scaling.Scale(maxMemory, maxConns*2)

	streams := rcmgr.LimitVal(maxConns * streamsPerConn)
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns:           rcmgr.LimitVal(maxConns),
			ConnsInbound:    rcmgr.LimitVal(cfg.MaxInbound),
			ConnsOutbound:   rcmgr.LimitVal(cfg.MaxOutbound),
			Streams:         streams,
			StreamsInbound:  streams,
			StreamsOutbound: streams,
			Memory:          rcmgr.LimitVal64(maxMemory),
			FD:              rcmgr.LimitVal(maxConns),
		},
		Transient: rcmgr.ResourceLimits{
			Conns:         rcmgr.LimitVal(max(maxConns/4, 16)),
			ConnsInbound:  rcmgr.LimitVal(max(maxConns/8, 12)),
			ConnsOutbound: rcmgr.LimitVal(max(maxConns/8, 12)),
			FD:            rcmgr.LimitVal(max(maxConns/4, 16)),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns:         8, // two nodes dialling each other on several addresses at once
			ConnsInbound:  8,
			ConnsOutbound: 8,
			FD:            8,
			// Four blob streams with the largest window, 16 MiB, each way.
			Memory: rcmgr.LimitVal64(min(maxMemory/2, 128<<20)),
		},
	}
	v4, v6 := localLimits(maxConns)
	m, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(partial.Build(defaults)),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithConnRateLimiters(rateLimits(v4, v6)),
		// Elsewhere: the library's 8 per IPv4 address and 8 per IPv6 /56.
	)
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	return m, nil
}

// localLimits lets loopback use every connection there is, and all of one kind
// of local network together half of them: many nodes share a machine or, behind
// one more router, an address. The limit per address that is right for the
// Internet would keep them apart.
func localLimits(maxConns int) (v4, v6 []rcmgr.NetworkPrefixLimit) {
	limit := func(prefix string, n int) rcmgr.NetworkPrefixLimit {
		return rcmgr.NetworkPrefixLimit{Network: netip.MustParsePrefix(prefix), ConnCount: n}
	}
	lan := maxConns / 2
	v4 = []rcmgr.NetworkPrefixLimit{
		limit("127.0.0.0/8", math.MaxInt),
		limit("10.0.0.0/8", lan),
		limit("172.16.0.0/12", lan),
		limit("192.168.0.0/16", lan),
		limit("100.64.0.0/10", lan), // carrier-grade NAT, and overlay networks
		limit("169.254.0.0/16", lan),
	}
	v6 = []rcmgr.NetworkPrefixLimit{
		limit("::1/128", math.MaxInt),
		limit("fc00::/7", lan),
		limit("fe80::/10", lan),
	}
	return v4, v6
}

// rateLimits bounds new connections per second for strangers; local networks
// come and go in bursts, as when twenty nodes start together.
func rateLimits(v4, v6 []rcmgr.NetworkPrefixLimit) *rate.Limiter {
	l := &rate.Limiter{
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 0.5, Burst: 16}}},
			IPv6SubnetLimits: []rate.SubnetLimit{
				{PrefixLength: 56, Limit: rate.Limit{RPS: 0.5, Burst: 16}},
				{PrefixLength: 48, Limit: rate.Limit{RPS: 2, Burst: 64}},
			},
			GracePeriod: time.Minute,
		},
	}
	for _, n := range append(append([]rcmgr.NetworkPrefixLimit{}, v4...), v6...) {
		l.NetworkPrefixLimits = append(l.NetworkPrefixLimits, rate.PrefixLimit{Prefix: n.Network}) // no limit
	}
	return l
}
