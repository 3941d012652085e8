package catalog

import (
	"fmt"
	"testing"

	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// BenchmarkOffer is one release of one entry, made durable by itself.
func BenchmarkOffer(b *testing.B) {
	ch := channeltest.NewChannel(b, "alice")
	c := followed(b, ch)
	all := releases(b, ch, b.N)
	for i := 0; b.Loop(); i++ {
		if i == len(all) {
			all = append(all, releases(b, ch, len(all)+1)...)
		}
		offer(b, c, all[i], feed.Accepted)
	}
}

func releases(b *testing.B, ch *channeltest.Channel, n int) [][]byte {
	b.StopTimer()
	defer b.StartTimer()
	var all [][]byte
	for range n {
		all = append(all, ch.Files(fmt.Sprint("file ", ch.Seq)))
	}
	return all
}

// BenchmarkOfferAll is catching up with 10,000 releases in batches of 256, as
// a sync brings them.
func BenchmarkOfferAll(b *testing.B) {
	ch := channeltest.NewChannel(b, "alice")
	all := releases(b, ch, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		c := followed(b, ch)
		for from := 0; from < len(all); from += 256 {
			batch := all[from:min(from+256, len(all))]
			out, err := c.OfferAll(b.Context(), batch)
			if err != nil || out[len(out)-1].Verdict != feed.Accepted {
				b.Fatal(out, err)
			}
		}
	}
	b.ReportMetric(float64(len(all))*float64(b.N)/b.Elapsed().Seconds(), "releases/s")
}
