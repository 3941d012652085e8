package crowd

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrPortTaken: another program listens on the wanted port. Choose another one,
// or stop that program; trying again later is of no use by itself.
var ErrPortTaken = errors.New("another program listens there")

// Listen opens the TCP port of addr, HOST:PORT; port 0 is a free one, and no
// host is all interfaces. The error names addr, and says what to do where the
// port is taken (ErrPortTaken), privileged, or of another machine.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	var op *net.OpError // what it says beside Err is addr again
	if errors.As(err, &op) {
		err = op.Err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening on %s: %w; stop it, or choose another port, 0 for a free one", addr, ErrPortTaken)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listening on %s: the system does not permit it (ports below 1024 are privileged); choose another port, 0 for a free one: %w", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listening on %s: no interface of this machine has that address; leave the host out for all interfaces: %w", addr, err)
	}
	return nil, fmt.Errorf("listening on %s: %w", addr, err)
}
