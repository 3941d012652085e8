package catalog

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
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

// BenchmarkLarge measures a catalogue of a million entries (100,000 with
// -short): applying a release, reading what is known, and pages of names.
func BenchmarkLarge(b *testing.B) {
	entries := 1_000_000
	if testing.Short() {
		entries = 100_000
	}
	ch := channeltest.NewChannel(b, "alice")
	c := open(b, filepath.Join(b.TempDir(), "aml.db"))
	follow(b, c, ch)
	for ch.Seq*4000 < uint64(entries) {
		var body channel.Body
		for i := range 4000 {
			body.Entries = append(body.Entries, channeltest.Entry(fmt.Sprintf("folder %03d/file %d", i%1000, ch.Seq*4000+uint64(i)), 1000))
		}
		body.Sort()
		if err := c.AppendRelease(b.Context(), body, ch.ReleaseByRef(channeltest.Ref(fmt.Sprint("body ", ch.Seq), 2<<20))); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Append(b.Context(), ch.Head(48*time.Hour)); err != nil {
		b.Fatal(err)
	}
	b.Run("Offer", func(b *testing.B) {
		all := releases(b, ch, b.N)
		for i := 0; b.Loop(); i++ {
			if i == len(all) {
				all = append(all, releases(b, ch, len(all)+1)...)
			}
			offer(b, c, all[i], feed.Accepted)
		}
	})
	b.Run("Channel", func(b *testing.B) {
		for b.Loop() {
			info(b, c, ch.ID)
		}
	})
	b.Run("Entry", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Entry(b.Context(), ch.ID, "folder 500/file 500"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Page", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range c.Entries(b.Context(), ch.ID, EntryFilter{Prefix: "folder 500/", Limit: 100}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n == 0 {
				b.Fatal("nothing")
			}
		}
	})
}
