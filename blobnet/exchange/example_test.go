package exchange_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// One host serves a store, another one asks it for a blob.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	newHost := func() host.Host {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
		if err != nil {
			log.Fatal(err)
		}
		return h
	}
	here, there := newHost(), newHost()
	defer here.Close()
	defer there.Close()

	store := memstore.New(memstore.Config{})
	blob := []byte("bytes that nobody here can read")
	id := blobnet.Sum(blob)
	if err := store.Put(ctx, id, blob); err != nil {
		log.Fatal(err)
	}
	server, err := exchange.New(exchange.Config{Host: there, Store: store})
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Run(ctx) })
	defer serving.Wait()
	defer stop()

	client, err := exchange.New(exchange.Config{Host: here})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	here.Peerstore().AddAddrs(there.ID(), there.Addrs(), peerstore.PermanentAddrTTL)
	peer := client.Peer(there.ID())
	defer peer.Close()

	have, err := peer.Have(ctx, []blobnet.ID{id, blobnet.Sum(nil)})
	fmt.Println(have, err)
	got, err := peer.Get(ctx, id, nil)
	fmt.Println(len(got), err)
	// Output:
	// [true false] <nil>
	// 31 <nil>
}
