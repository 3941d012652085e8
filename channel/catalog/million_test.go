package catalog

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// BenchmarkMillion measures a catalogue of a million entries (100,000 with
// -short) in 100 channels, beside 1,000 channels that are listed alone:
//
//	go test ./channel/catalog -run '^$' -bench Million -benchtime 200x -timeout 30m
//
// Beside the mean it says the median and the longest, in milliseconds.
func BenchmarkMillion(b *testing.B) {
	entries := 1_000_000
	if testing.Short() {
		entries = 100_000
	}
	path := filepath.Join(b.TempDir(), "aml.db")
	c := open(b, path)
	m := &million{b: b, c: c, rnd: rand.New(rand.NewPCG(1, 2))}
	began := time.Now()
	m.fill(entries)
	if fi, err := os.Stat(path); err == nil {
		b.Logf("filled in %v, %d MB", time.Since(began).Round(time.Second), fi.Size()>>20)
	}
	own, followed := m.channels[0], m.channels[1]
	m.measure("Publish", func(int) func() {
		release := []byte(own.Release(channel.Body{Title: m.words(3), Entries: m.entries(1)}))
		head := own.Head(48 * time.Hour)
		return func() { m.must(c.Append(context.Background(), release, head)) }
	})
	m.measure("Apply", func(int) func() {
		release := followed.Release(channel.Body{Title: m.words(3), Description: m.words(40), Entries: m.entries(1)})
		return func() { offer(b, c, release, feed.Accepted) }
	})
	m.measure("ApplyHundred", func(int) func() {
		release := followed.Release(channel.Body{Entries: m.entries(100)})
		return func() {
			if o := offer(b, c, release, feed.Accepted); o.Manifest.Body == nil {
				b.Fatal("no body")
			}
		}
	})
	m.measure("List", func(int) func() {
		return func() { m.some(len(m.must1(c.Channels(context.Background())))) }
	})
	m.measure("ListTopic", func(int) func() {
		return func() { m.some(len(m.mustTopic(c.ListedOn(context.Background(), "crowded")))) }
	})
	m.measure("Page", func(i int) func() {
		ch := m.channels[i%len(m.channels)]
		return func() {
			n := 0
			for _, err := range c.Entries(context.Background(), ch.ID, EntryFilter{Prefix: m.folder(i), Limit: 100}) {
				m.must(err)
				n++
			}
			m.some(n)
		}
	})
	m.measure("Entry", func(i int) func() {
		ch := m.channels[i%len(m.channels)]
		return func() {
			_, err := c.Entry(context.Background(), ch.ID, m.name[i%len(m.channels)])
			m.must(err)
		}
	})
	searches := m.searches()
	for _, name := range slices.Sorted(maps.Keys(searches)) {
		search := searches[name]
		m.measure("Search/"+name, func(i int) func() {
			f := search(i)
			return func() {
				_, err := c.Search(context.Background(), f)
				m.must(err)
			}
		})
	}
}

type million struct {
	b        *testing.B
	c        *Catalog
	rnd      *rand.Rand
	zipf     *rand.Zipf
	channels []*channeltest.Channel
	name     []string // of an entry of each channel
	next     int
}

// word is the nth commonest word.
func (m *million) word(n uint64) string {
	const consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
	var w []byte
	for n += 19; n > 0; n /= 90 {
		w = append(w, consonants[n%18], vowels[n/18%5])
	}
	return string(w)
}

func (m *million) words(n int) string {
	var all []string
	for range n {
		all = append(all, m.word(m.zipf.Uint64()))
	}
	return strings.Join(all, " ")
}

func (m *million) folder(i int) string { return fmt.Sprintf("folder %03d/", i%1000) }

// entries are new ones, with names as people give them.
func (m *million) entries(n int) []channel.FileEntry {
	var body channel.Body
	for range n {
		m.next++
		name := fmt.Sprintf("%s%s_%05d.flac", m.folder(m.next), strings.ReplaceAll(m.words(3), " ", "_"), m.next%20000)
		e := channeltest.Entry(name, uint64(m.next)%1_000_000)
		e.MediaType, e.Attrs = "audio/flac", map[string]string{"artist": m.words(2)}
		body.Entries = append(body.Entries, e)
	}
	body.Sort()
	return slices.CompactFunc(body.Entries, func(a, b channel.FileEntry) bool { return a.Name == b.Name })
}

func (m *million) fill(entries int) {
	m.zipf = rand.NewZipf(m.rnd, 1.1, 8, 30_000)
	const channels, batch = 100, 1000
	for i := range channels {
		ch := channeltest.NewChannel(m.b, fmt.Sprint("channel ", i), fmt.Sprint("topic/", i%10))
		m.channels = append(m.channels, ch)
		if i == 0 {
			m.must(m.c.Append(context.Background(), ch.Envelope))
		} else {
			follow(m.b, m.c, ch)
		}
	}
	for n := 0; n < entries; n += batch {
		ch := m.channels[n/batch%channels]
		body := channel.Body{Title: m.words(3), Description: m.words(30), Entries: m.entries(batch)}
		m.must(m.c.AppendRelease(context.Background(), Addition{Body: &body}, ch.ReleaseByRef(channeltest.Ref(fmt.Sprint("body ", n), 2<<20)), ch.Head(48*time.Hour)))
		if len(m.name) < channels {
			m.name = append(m.name, body.Entries[0].Name)
		}
	}
	for i := range 1000 {
		ch := channeltest.NewChannel(m.b, fmt.Sprint(m.words(2), i), "crowded")
		m.must(m.c.Expect(context.Background(), ch.ID, Listed))
		offer(m.b, m.c, ch.Envelope, feed.Accepted)
	}
}

// searches are what people ask for, the harmless and the worst.
func (m *million) searches() map[string]func(i int) Search {
	query := func(f func(i uint64) string) func(int) Search {
		return func(i int) Search { return Search{Query: f(uint64(i))} }
	}
	return map[string]func(int) Search{
		"RareWord":   query(func(i uint64) string { return m.word(5000 + 17*i) }),
		"CommonWord": query(func(i uint64) string { return m.word(i % 10) }),
		"EveryName":  query(func(uint64) string { return "flac" }),
		"TwoWords":   query(func(i uint64) string { return m.word(i%100) + " " + m.word(100+i) }),
		"RareCommon": query(func(i uint64) string { return m.word(3000+i) + " flac" }),
		"ThreeWords": query(func(i uint64) string { return "flac " + m.word(i%50) + " " + m.word(50+i%500) }),
		"ThreeWordsLookedUp": func(i int) Search { // what it would cost to look up the one that is everywhere
			return Search{Query: "flac " + m.word(uint64(i%50)) + " " + m.word(uint64(50+i%500)), plain: true}
		},
		"ThreeCommon": query(func(i uint64) string { return m.word(i%10) + " " + m.word(10+i%10) + " " + m.word(20+i%10) }),
		"Prefix":      query(func(i uint64) string { return m.word(300 + 7*i)[:3] }),
		"ShortPrefix": query(func(i uint64) string { return m.word(i)[:2] }),
		"Phrase":      query(func(i uint64) string { return `"` + m.word(i%10) + " " + m.word(i%7) + `"` }),
		"Nothing":     query(func(i uint64) string { return m.word(5000+i) + " " + m.word(9000+i) }),
		"Channel": func(i int) Search {
			return Search{Query: m.word(uint64(i % 50)), Channel: m.channels[i%len(m.channels)].ID}
		},
		"Topic": func(i int) Search { return Search{Query: m.word(uint64(i % 50)), Topic: "topic"} },
		"Filters": func(i int) Search {
			return Search{Query: m.word(uint64(i % 50)), Type: "audio", MinSize: 900_000, Since: channeltest.Epoch().Add(time.Minute)}
		},
	}
}

// measure runs what prepare makes, and times that alone.
func (m *million) measure(name string, prepare func(i int) func()) {
	parent := m.b
	defer func() { m.b = parent }()
	parent.Run(name, func(b *testing.B) {
		m.b = b
		times := make([]time.Duration, 0, b.N)
		for i := range b.N {
			b.StopTimer()
			do := prepare(i)
			b.StartTimer()
			began := time.Now()
			do()
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(ms(times[len(times)/2]), "p50-ms")
		b.ReportMetric(ms(times[len(times)-1]), "max-ms")
	})
}

func (m *million) must(err error) {
	if err != nil {
		m.b.Fatal(err)
	}
}

func (m *million) must1(infos []Info, err error) []Info {
	m.must(err)
	return infos
}

func (m *million) mustTopic(l []Listing, err error) []Listing {
	m.must(err)
	return l
}

func (m *million) some(n int) {
	if n == 0 {
		m.b.Fatal("nothing")
	}
}
