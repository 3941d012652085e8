package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/stream"
)

// A file is read from the middle. Here its blobs come from a store; with
// Swarm.Add they come from peers.
func ExampleOpen() {
	ctx := context.Background()
	store := memstore.New(memstore.Config{})
	file, err := codec.Encode(ctx, bytes.NewReader(bytes.Repeat([]byte("0123456789"), 1_000_000)), store, codec.Config{})
	if err != nil {
		panic(err)
	}

	swarm, err := fetch.New(fetch.Config{Store: store})
	if err != nil {
		panic(err)
	}
	r, err := stream.Open(ctx, stream.Config{Source: swarm}, file)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	if _, err := r.Seek(5_000_003, io.SeekStart); err != nil {
		panic(err)
	}
	some := make([]byte, 12)
	if _, err := io.ReadFull(r, some); err != nil {
		panic(err)
	}
	fmt.Println(string(some))
	// Output: 345678901234
}
