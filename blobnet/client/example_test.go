package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/anonymous-media-library/aml/blobnet/client"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
)

func loopback() host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		log.Fatal(err)
	}
	return h
}

// One program seals a file and serves it, another one fetches it.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	seedHost, fetchHost := loopback(), loopback()
	defer seedHost.Close()
	defer fetchHost.Close()

	seeder, err := client.New(client.Config{Host: seedHost, Store: memstore.New(memstore.Config{})})
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = seeder.Run(ctx) })
	defer serving.Wait()
	defer stop()
	file, err := seeder.Ingest(ctx, strings.NewReader("the show of last night"), codec.Config{})
	if err != nil {
		log.Fatal(err)
	}

	// What file is, the other program learns from somebody that it trusts: a
	// channel, a web page, a message. Where it is, a Tracker would find.
	fetcher, err := client.New(client.Config{Host: fetchHost, Store: memstore.New(memstore.Config{}), OnEvent: func(e client.Event) {
		if e.Kind == client.KindDownload {
			fmt.Println("a blob came:", e.Bytes, "bytes")
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer fetcher.Close()
	fetcher.AddAddr(*host.InfoFromHost(seedHost))
	var got bytes.Buffer
	err = fetcher.Fetch(ctx, file, &got, func(p client.Progress) { fmt.Printf("%d of %d bytes\n", p.Done, p.Total) })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.String())
	// Output:
	// a blob came: 528 bytes
	// 22 of 22 bytes
	// the show of last night
}

// A file is read from the middle before the rest of it is here.
func ExampleClient_Open() {
	ctx, stop := context.WithCancel(context.Background())
	seedHost, readHost := loopback(), loopback()
	defer seedHost.Close()
	defer readHost.Close()

	seeder, err := client.New(client.Config{Host: seedHost, Store: memstore.New(memstore.Config{})})
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = seeder.Run(ctx) })
	defer serving.Wait()
	defer stop()
	file, err := seeder.Ingest(ctx, strings.NewReader(strings.Repeat("la ", 1<<20)+"the end"), codec.Config{})
	if err != nil {
		log.Fatal(err)
	}
	// With a Tracker in the Config, Seed would tell it of the file, until ctx ends.
	serving.Go(func() { _ = seeder.Seed(ctx, file) })

	reader, err := client.New(client.Config{Host: readHost, Store: memstore.New(memstore.Config{})})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	reader.AddAddr(*host.InfoFromHost(seedHost))
	song, err := reader.Open(ctx, file)
	if err != nil {
		log.Fatal(err)
	}
	defer song.Close()
	if _, err := song.Seek(-7, io.SeekEnd); err != nil {
		log.Fatal(err)
	}
	end, err := io.ReadAll(song)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(end))
	// Output:
	// the end
}
