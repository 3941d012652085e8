package child

import "net/netip"

// loopback reports whether address is a port of this machine's own.
func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().IsLoopback()
}
