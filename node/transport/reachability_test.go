//go:build linux

package transport

import (
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/internal/netlab"
)

// Who has a public address learns so from those who dial back, and needs no
// relay; who is behind a NAT announces its relay's.
func TestPublicAddressesAreConfirmedByOthers(t *testing.T) {
	l := netlab.New(t)
	open := l.Host("open", netlab.Link{})
	hidden := l.NAT(netlab.PortRestricted).Host("hidden", netlab.Link{})

	var relays []string // AutoNAT v2 believes two that agree
	for _, name := range []string{"third", "fourth", "fifth"} {
		h := l.Host(name, netlab.Link{})
		relay := task{Role: "relay"}
		relay.Config.Listen = []string{"/ip4/" + h.Addr().String() + "/tcp/4001"}
		relay.Config.Relay = Relay{Coordinate: true}
		relays = append(relays, start(t, h, relay).reached(t, "/tcp/")...)
	}

	public := task{Role: "seed"}
	public.Config.Listen, public.Config.Punch, public.Config.Relays = []string{"/ip4/0.0.0.0/tcp/4001"}, true, relays
	found := start(t, open, public).until(t, "a confirmed address", func(line told) bool { return len(line.Confirmed) > 0 })
	if len(found.Confirmed) != 1 || !strings.HasPrefix(found.Confirmed[0], "/ip4/"+open.Addr().String()+"/tcp/4001") {
		t.Errorf("confirmed %s", found.Confirmed)
	}
	if s := strings.Join(found.Addrs, " "); strings.Contains(s, "p2p-circuit") {
		t.Errorf("a host that is reached directly announces %s", s)
	}
	start(t, hidden, public).until(t, "an address through the relay", func(line told) bool {
		return strings.Contains(strings.Join(line.Addrs, " "), "p2p-circuit") && len(line.Confirmed) == 0
	})
}
