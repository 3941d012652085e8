package diskstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/diskstore"
)

// A store with a quota keeps what is pinned and what was used last.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "blobs-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := diskstore.Open(diskstore.Config{Dir: dir, MaxSize: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	blob := []byte("bytes that nobody here can read")
	id := blobnet.Sum(blob)
	if err := store.Put(ctx, id, blob); err != nil {
		log.Fatal(err)
	}
	if err := store.Pin(ctx, id); err != nil {
		log.Fatal(err)
	}
	got, err := store.Get(ctx, id, nil)
	fmt.Println(len(got), err)
	_, err = store.Get(ctx, blobnet.Sum([]byte("another")), nil)
	fmt.Println(errors.Is(err, blobnet.ErrNotFound))
	stats, err := store.Stats(ctx)
	fmt.Println(stats.BlobCount, stats.Pinned, err)
	// Output:
	// 31 <nil>
	// true
	// 1 1 <nil>
}
