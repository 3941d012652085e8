//go:build linux

package netlab

import (
	"net/netip"
	"sync"
)

// NATKind is how a NAT chooses outer ports and whom it lets in (RFC 4787).
type NATKind int

const (
	// Cone maps an inner address and port to one outer port whoever is
	// spoken to (endpoint-independent mapping), and lets in those hosts that
	// were spoken to from there (address-dependent filtering).
	Cone NATKind = iota
	// PortRestricted maps as Cone does, and lets in only from the port that
	// was spoken to.
	PortRestricted
	// Symmetric takes another outer port for each host and port spoken to,
	// and lets in only answers from there. No hole can be punched between
	// two of them.
	Symmetric
)

// NAT is a router with one public address that hides its hosts. TCP and UDP
// pass, nothing else. Mappings stay until the lab ends or Forget.
type NAT struct {
	lab   *Lab
	kind  NATKind
	addr  netip.Addr
	inner [3]byte
	hosts map[netip.Addr]*Host // guarded by Lab.mu

	mu      sync.Mutex // guards what follows
	next    uint16
	forward map[flow]*mapping
	back    map[outer]*mapping
}

// flow is what gets a mapping of its own.
type flow struct {
	proto  byte
	inside netip.AddrPort
	peer   netip.AddrPort // with Symmetric only
}

type outer struct {
	proto byte
	port  uint16
}

type mapping struct {
	flow
	port  uint16
	spoke map[netip.AddrPort]bool // the port is 0 where it does not matter
}

// NAT adds a NAT with a public address and no hosts.
func (l *Lab) NAT(kind NATKind) *NAT {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := byte(len(l.nats) + 1)
	n := &NAT{lab: l, kind: kind, addr: netip.AddrFrom4([4]byte{11, 1, 0, i}), inner: [3]byte{192, 168, i},
		hosts: make(map[netip.Addr]*Host)}
	n.Forget()
	l.nats[n.addr] = n
	return n
}

// Addr is the NAT's public address.
func (n *NAT) Addr() netip.Addr { return n.addr }

// Host adds a host behind the NAT. Those behind the same one reach each other
// directly.
func (n *NAT) Host(name string, link Link) *Host {
	n.lab.t.Helper()
	n.lab.mu.RLock()
	i := byte(len(n.hosts) + 10)
	n.lab.mu.RUnlock()
	return n.lab.add(&Host{lab: n.lab, name: name, nat: n, addr: netip.AddrFrom4([4]byte{n.inner[0], n.inner[1], n.inner[2], i})}, link)
}

// Forget drops all mappings, as a router does that is switched off and on.
func (n *NAT) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next = 20000 + uint16(n.inner[2])*100
	n.forward, n.back = make(map[flow]*mapping), make(map[outer]*mapping)
}

// outbound translates a packet from inside; false drops it.
func (n *NAT) outbound(p packet) bool {
	if !p.translatable() {
		return false
	}
	f := flow{proto: p.proto(), inside: p.from()}
	if n.kind == Symmetric {
		f.peer = p.to()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.forward[f]
	if m == nil {
		m = n.open(f)
		if m == nil {
			return false
		}
	}
	m.spoke[n.filter(p.to())] = true
	p.setFrom(netip.AddrPortFrom(n.addr, m.port))
	return true
}

// open makes a mapping; nil if all ports are taken. A cone keeps the inner
// port if it can. The caller holds mu.
func (n *NAT) open(f flow) *mapping {
	port := f.inside.Port()
	for range 1 << 16 {
		if o := (outer{f.proto, port}); port >= 1024 && n.back[o] == nil && (n.kind != Symmetric || port != f.inside.Port()) {
			m := &mapping{flow: f, port: port, spoke: make(map[netip.AddrPort]bool)}
			n.forward[f], n.back[o] = m, m
			return m
		}
		n.next += 7 // not the neighbour, so that no one guesses it
		port = n.next
	}
	return nil
}

// inbound translates a packet from outside and returns whom it is for; nil
// drops it.
func (n *NAT) inbound(p packet) *Host {
	if !p.translatable() {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.back[outer{p.proto(), p.to().Port()}]
	if m == nil || !m.spoke[n.filter(p.from())] {
		return nil
	}
	p.setTo(m.inside)
	return n.hosts[m.inside.Addr()]
}

func (n *NAT) filter(peer netip.AddrPort) netip.AddrPort {
	if n.kind == Cone {
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}
