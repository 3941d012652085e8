package node

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// natsPlace is where a URL that was checked leads, the same however it is written.
func natsPlace(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
		if ip.Unmap().IsLoopback() {
			host = "localhost"
		}
	}
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	if port == "" {
		port = "4222"
	}
	return net.JoinHostPort(host, port)
}
