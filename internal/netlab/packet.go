//go:build linux

package netlab

import (
	"encoding/binary"
	"net/netip"
)

// packet is an IPv4 packet. Its accessors may be used once valid said so.
type packet []byte

const (
	protoTCP = 6
	protoUDP = 17
)

func (p packet) valid() bool {
	return len(p) >= 20 && p[0]>>4 == 4 && len(p) >= p.header() && p.header() >= 20
}

func (p packet) header() int     { return int(p[0]&15) * 4 }
func (p packet) proto() byte     { return p[9] }
func (p packet) src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p packet) dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// translatable reports whether p has ports: TCP or UDP, and no later fragment.
func (p packet) translatable() bool {
	if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 { // more fragments, or an offset
		return false
	}
	switch rest := len(p) - p.header(); p.proto() {
	case protoTCP:
		return rest >= 20
	case protoUDP:
		return rest >= 8
	}
	return false
}

func (p packet) from() netip.AddrPort { return netip.AddrPortFrom(p.src(), p.port(0)) }
func (p packet) to() netip.AddrPort   { return netip.AddrPortFrom(p.dst(), p.port(2)) }

func (p packet) port(at int) uint16 { return binary.BigEndian.Uint16(p[p.header()+at:]) }

func (p packet) setFrom(a netip.AddrPort) { p.set(12, 0, a) }
func (p packet) setTo(a netip.AddrPort)   { p.set(16, 2, a) }

// set writes an address and a port, and mends both checksums (RFC 1624).
func (p packet) set(addrAt, portAt int, a netip.AddrPort) {
	h := p.header()
	sum := p[h+6:] // UDP's
	if p.proto() == protoTCP {
		sum = p[h+16:]
	}
	old := append(append([]byte{}, p[addrAt:addrAt+4]...), p[h+portAt:h+portAt+2]...)
	addr := a.Addr().As4()
	copy(p[addrAt:], addr[:])
	binary.BigEndian.PutUint16(p[h+portAt:], a.Port())
	changed := append(append([]byte{}, addr[:]...), p[h+portAt:h+portAt+2]...)
	mend(p[10:], old[:4], changed[:4])
	if p.proto() == protoUDP && sum[0] == 0 && sum[1] == 0 {
		return // none was computed
	}
	mend(sum, old, changed)
}

// mend updates a checksum for bytes that changed from old to changed.
func mend(sum, old, changed []byte) {
	x := uint32(^binary.BigEndian.Uint16(sum))
	for i := 0; i < len(old); i += 2 {
		x += uint32(^binary.BigEndian.Uint16(old[i:])) + uint32(binary.BigEndian.Uint16(changed[i:]))
	}
	for x > 0xffff {
		x = x>>16 + x&0xffff
	}
	binary.BigEndian.PutUint16(sum, ^uint16(x))
}
