package crowd

import (
	"io"
	"net"
	"testing"
)

func TestOneAddressHoldsNoMoreThanItsShare(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, 10, 2)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	dial()
	second := <-accepted
	defer second.Close()
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the third connection reads %d bytes and %v", n, err)
	} else if err != io.EOF {
		t.Log(err) // a reset does as well
	}
	first.Close()
	first.Close() // counts once
	dial()
	third := <-accepted
	third.Close()
	l.Close()
	if _, open := <-accepted; open {
		t.Error("a closed listener accepts")
	}
}

func TestKeysAreAddressesWithoutPorts(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7", "[::ffff:192.0.2.7]:80": "192.0.2.7",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
	} {
		if got := Key(text(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := Key(text("a pipe")); got != "text" {
		t.Error(got)
	}
}

type text string

func (t text) Network() string { return "text" }
func (t text) String() string  { return string(t) }
