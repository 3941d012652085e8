package transport

import "testing"

// BenchmarkNew says what it takes to start and stop a host.
func BenchmarkNew(b *testing.B) {
	for name, cfg := range map[string]Config{
		"tcp":   {Listen: addrs("/ip4/127.0.0.1/tcp/0")},
		"all":   {Listen: addrs(everyKind...)},
		"punch": {Listen: addrs("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"), Punch: true},
	} {
		cfg.Identity = newKey(b)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				cfg.Reach = nil
				h, err := New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := h.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
