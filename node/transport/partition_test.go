//go:build linux

package transport

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/netlab"
)

// A transfer over a slow, lossy link is cut off until the reader has noticed,
// and goes on after that.
func TestTransferGoesOnAfterAPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	for _, kind := range []string{"/tcp/4001", "/udp/4001/quic-v1"} {
		t.Run(kind[1:4], func(t *testing.T) {
			t.Parallel() // it mostly waits
			l := netlab.New(t)
			link := netlab.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.001, Rate: 8 << 20}
			left, right := l.Host("left", link), l.Host("right", link)

			seed := task{Role: "seed", Blobs: 4, Stall: 2 * time.Second}
			seed.Config.Listen = []string{"/ip4/" + left.Addr().String() + kind}
			seeding := start(t, left, seed)

			fetch := task{Role: "fetch", Blobs: 4, Stall: 2 * time.Second, Peers: seeding.reached(t, "/ip4/11.")}
			fetch.Config.Listen = []string{"/ip4/" + right.Addr().String() + kind}
			fetching := start(t, right, fetch)
			fetching.until(t, "the first blob", func(line told) bool { return line.Got > 0 })
			l.Partition("left", "right")
			fetching.until(t, "the reader to notice", func(line told) bool { return line.Err != "" })
			l.Heal("left", "right")
			fetching.until(t, "the rest", func(line told) bool { return line.Got == 8<<20 })
			if passed, dropped := l.Packets(); dropped == 0 {
				t.Errorf("of %d packets none was lost", passed)
			}
		})
	}
}
