package node

import "testing"

// Two bridges with one NATS would share the place up to which they have read.
func TestOneNATSIsBridgedOnceHoweverItIsWritten(t *testing.T) {
	for _, c := range []struct {
		a, b []string
		same bool
	}{
		{nil, nil, true},
		{nil, []string{"nats://127.0.0.1:4222"}, false},
		{[]string{"nats://n1:4222", "nats://n2:4222"}, []string{"nats://n2:4222", "nats://n1:4222"}, true},
		{[]string{"nats://n1:4222", "nats://n2:4222"}, []string{"nats://n2:4222"}, true},
		{[]string{"nats://localhost:4222"}, []string{"nats://127.0.0.1"}, true},
		{[]string{"nats://[::1]:4222"}, []string{"tls://localhost.:4222"}, true},
		{[]string{"nats://N1.example"}, []string{"nats://n1.example:4222"}, true},
		{[]string{"wss://n1.example"}, []string{"wss://n1.example:443"}, true},
		{[]string{"nats://n1:4222"}, []string{"nats://n1:4223"}, false},
		{[]string{"nats://n1:4222"}, []string{"nats://n2:4222"}, false},
	} {
		var h natsHome
		end, err := h.begin("main", c.a)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := h.begin("main", c.b); (err != nil) != c.same {
			t.Errorf("%v and %v: %v", c.a, c.b, err)
		} else if err == nil {
			other()
		}
		if _, err := h.begin("other", c.a); err != nil {
			t.Errorf("another network: %v", err)
		}
		end()
		if _, err := h.begin("main", c.b); err != nil {
			t.Errorf("%v, after %v has ended: %v", c.b, c.a, err)
		}
	}
}
