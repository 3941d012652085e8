package node

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/mirror"
)

// BenchmarkSweep measures one sweep of a mirror over a channel of 100,000 releases
// (10,000 with -short) of a file each, all of them here and pinned, and beside it what is
// in it: reading the releases alone, and saying of each whose it is; and what it would be
// if each release were noted by itself.
//
//	go test ./node -run '^$' -bench Sweep -benchtime 1x -timeout 30m
//
// Each says how many nanoseconds and bytes a release costs, and what stays in memory.
func BenchmarkSweep(b *testing.B) {
	count := 100_000
	if testing.Short() {
		count = 10_000
	}
	n, c := runningNode(b), channeltest.NewChannel(b, "c")
	f, m, _ := aloneInAFleet(b, n, c)
	began := time.Now()
	var all [][]byte
	for i := range count {
		name := fmt.Sprintf("%06d.bin", i)
		all = append(all, c.Release(channel.Body{Title: "Release", Entries: []channel.FileEntry{channeltest.Entry(name, 1000)}}))
		if len(all) == 1000 || i == count-1 {
			offerAll(b, n, all...)
			all = nil
		}
		if err := n.disk.Put(b.Context(), blobnet.Sum(fileBlob(name)), fileBlob(name)); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d releases were made in %v", count, time.Since(began).Round(time.Second))
	measure := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := heap()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/release")
			b.ReportMetric(float64(heap()-before)/float64(count), "kept-B/release")
		})
	}
	measure("Read", func() error {
		for _, err := range m.releases(b.Context(), 0) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	members := func(others, channels int) { // each of which mirrors that many
		f.live, f.sharers = nil, nil
		for i := range others {
			beat := mirror.Beat{Peer: fmt.Sprintf("12D3KooWxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx%02d", i)}
			for k := range channels - 1 {
				beat.Channels = append(beat.Channels, fmt.Sprintf("channel%045d", k))
			}
			beat.Channels = append(beat.Channels, c.ID.String())
			f.live = append(f.live, beat)
		}
	}
	owns := func() error {
		for r, err := range m.releases(b.Context(), 0) {
			if err != nil {
				return err
			}
			m.owns(r)
		}
		return nil
	}
	for _, w := range []struct{ others, channels int }{{4, 1}, {mirror.MaxMembers, 1}, {mirror.MaxMembers, mirror.MaxChannels}} {
		members(w.others, w.channels)
		measure(fmt.Sprintf("Shares/members=%d/channels=%d", w.others+1, w.channels), owns)
	}
	sweep := func() error { return m.sweep(b.Context()) }
	m.fleet = nil
	measure("First", sweep)
	measure("Alone", sweep)
	measure("OneByOne", func() error { // as it was done before
		m.round++
		for r, err := range m.releases(b.Context(), 0) {
			if err == nil {
				_, err = m.mark(b.Context(), r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	measure("Restart", func() error {
		m.from, m.done = 0, positions{}
		left, err := m.catchUp(b.Context())
		if err == nil && left > 0 {
			err = fmt.Errorf("%d releases are not here", left)
		}
		return err
	})
	m.fleet = f
	members(4, 1)
	measure("InAGroup", sweep)
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
