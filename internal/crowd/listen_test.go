package crowd

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestAPortThatIsTakenIsNamedWithTheRemedy(t *testing.T) {
	first, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	second, err := Listen(addr)
	want := "listening on " + addr + ": another program listens there; stop it, or choose another port, 0 for a free one"
	if second != nil || !errors.Is(err, ErrPortTaken) || err.Error() != want {
		t.Errorf("a second listener gives %v, want %s", err, want)
	}
	for _, addr := range []string{"192.0.2.1:0", "nowhere", "127.0.0.1:99999"} {
		l, err := Listen(addr)
		if l != nil || err == nil || !strings.HasPrefix(err.Error(), "listening on "+addr+": ") {
			t.Errorf("%s gives %v", addr, err)
		}
		var op *net.OpError
		if errors.As(err, &op) {
			t.Errorf("%v says the address twice", err)
		}
	}
}
