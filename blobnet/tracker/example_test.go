package tracker_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// One node announces a key, another one that knows it finds it under that key.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	newHost := func() host.Host {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
		if err != nil {
			log.Fatal(err)
		}
		return h
	}
	holder, seeker := newHost(), newHost()
	defer holder.Close()
	defer seeker.Close()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	start := func(cfg tracker.Config) *tracker.Tracker {
		t, err := tracker.New(cfg)
		if err != nil {
			log.Fatal(err)
		}
		running.Go(func() { _ = t.Run(ctx) })
		return t
	}
	has := start(tracker.Config{Host: holder, DHT: true})
	wants := start(tracker.Config{Host: seeker, DHT: true, Static: []peer.AddrInfo{*host.InfoFromHost(holder)}})

	key := tracker.Key{1, 2, 3}
	if err := has.Announce(ctx, key); err != nil {
		log.Fatal(err)
	}
	for {
		for p := range wants.Find(ctx, key) {
			if p.ID == holder.ID() {
				fmt.Println("found")
				return
			}
		}
		if ctx.Err() != nil {
			log.Fatal(ctx.Err())
		}
	}
	// Output: found
}
