// Package crowd opens ports, and bounds how many connections a listener holds,
// in all and from one address, so that one visitor does not keep the others out.
// It is for servers that speak to anybody. It must never read or write a byte of a
// connection, and knows nothing of aml.
package crowd

import (
	"net"
	"net/netip"
	"sync"
)

// Key names the address that limits count by: an IPv4 address, or the first 64
// bits of an IPv6 address, since one visitor has all of those.
func Key(a net.Addr) string {
	if a == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.Network()
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return p.String()
}

// Listener closes at once what is accepted over its limits.
type Listener struct {
	net.Listener
	max, perKey int

	mu   sync.Mutex // guards what follows
	open map[string]int
	all  int
}

// Limit returns a listener that holds at most max connections of l, and at
// most perKey from one address.
func Limit(l net.Listener, max, perKey int) *Listener {
	return &Listener{Listener: l, max: max, perKey: perKey, open: make(map[string]int)}
}

// Accept waits for a connection within the limits.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := Key(c.RemoteAddr())
		if l.enter(key) {
			return &conn{Conn: c, leave: func() { l.leave(key) }}, nil
		}
		c.Close()
	}
}

func (l *Listener) enter(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.max || l.open[key] >= l.perKey {
		return false
	}
	l.all++
	l.open[key]++
	return true
}

func (l *Listener) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[key]--; l.open[key] == 0 {
		delete(l.open, key)
	}
}

type conn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
