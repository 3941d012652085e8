package public

import (
	"net/netip"
	"testing"
)

func TestWhatIsOfTheInternetAndWhatIsNot(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "2001:4860:4860::8888": true, "127.0.0.1": false, "10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "100.64.0.1": false,
		"169.254.169.254": false, "::1": false, "::ffff:127.0.0.1": false, "fe80::1": false, "fd00::1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false,
		// IPv4 in IPv6 is what it leads to.
		"64:ff9b::8.8.8.8": true, "64:ff9b::a00:1": false, "64:ff9b::127.0.0.1": false, "64:ff9b:1::a00:1": false, "2002:808:808::1": true, "2002:a00:1::1": false,
		"2002:7f00:1::": false, "::10.0.0.1": false, "::8.8.8.8": false, "2001:0:7f00:1::1": false,
		// Blocks with a purpose of their own.
		"0.1.2.3": false, "192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false,
		"240.0.0.1": false, "254.1.1.1": false, "fec0::1": false, "100::1": false, "2001:db8::1": false, "3fff::1": false, "5f00::1": false, "ff02::1": false, "198.20.0.1": true, "1.1.1.1": true,
		"2606:4700:4700::1111": true, "::ffff:8.8.8.8": true, "fe80::1%eth0": false,
	} {
		if got := Addr(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
