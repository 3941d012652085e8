//go:build linux

package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/netlab"
)

// Two nodes behind different NATs, and a third that both can reach. See
// docs/reachability.md.
func TestNodesBehindNATsExchangeBlobs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	t.Parallel()
	coordinate := Relay{Coordinate: true}
	bulk := Relay{Bulk: RelayBulk{BytesPerSecond: 4 << 20}}
	for _, c := range []struct {
		name         string
		seed, fetch  netlab.NATKind
		relay        Relay
		listen       []string // of the nodes behind NATs
		wantPunched  bool
		wantProtocol string
	}{
		{"cone to cone by QUIC", netlab.Cone, netlab.Cone, coordinate, []string{"/ip4/0.0.0.0/udp/4001/quic-v1"}, true, "/quic-v1"},
		{"cone to cone by TCP", netlab.Cone, netlab.Cone, coordinate, []string{"/ip4/0.0.0.0/tcp/4001"}, true, "/tcp/"},
		{"port restricted", netlab.PortRestricted, netlab.PortRestricted, coordinate, nil, true, ""},
		{"symmetric through a relay for bulk", netlab.Symmetric, netlab.Symmetric, bulk, nil, false, "/p2p-circuit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := netlab.New(t)
			link := netlab.Link{Delay: 2 * time.Millisecond}
			third := l.Host("third", link)
			left, right := l.NAT(c.seed).Host("left", link), l.NAT(c.fetch).Host("right", link)

			relay := task{Role: "relay"}
			for _, kind := range []string{"/tcp/4001", "/udp/4001/quic-v1"} {
				relay.Config.Listen = append(relay.Config.Listen, "/ip4/"+third.Addr().String()+kind)
			}
			relay.Config.Relay = c.relay
			relaying := start(t, third, relay)
			relays := relaying.reached(t, "/tcp/") // it tells its other address itself

			seed := task{Role: "seed", Blobs: 4}
			seed.Config.Listen, seed.Config.Punch, seed.Config.Relays = c.listen, true, relays
			seeding := start(t, left, seed)
			through := seeding.reached(t, "/p2p-circuit")

			fetch := task{Role: "fetch", Blobs: 4, Peers: through}
			fetch.Config.Listen, fetch.Config.Punch, fetch.Config.Relays = c.listen, true, relays
			fetching := start(t, right, fetch)
			last := fetching.until(t, "8 MiB", func(line told) bool { return line.Got == 8<<20 })
			if punched := !strings.Contains(last.By, "/p2p-circuit"); punched != c.wantPunched || !strings.Contains(last.By, c.wantProtocol) {
				t.Errorf("the blobs came by %s", last.By)
			}
			if !c.wantPunched {
				stats := relaying.until(t, "the relay's figures", func(line told) bool { return line.Stats != nil && line.Stats.Bytes > 8<<20 }).Stats
				if stats.Circuits == 0 || stats.BytesPerSecond == 0 {
					t.Errorf("the relay says %+v", stats)
				}
			}
		})
	}
}
