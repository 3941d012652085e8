package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// place is anything that has blobs, with a name: a fetch.Peer.
type place struct {
	*memstore.Store
	name string
}

func (p place) Name() string { return p.name }

// What one place has not, another one may have; what came is kept.
func Example() {
	ctx := context.Background()
	near, far := place{memstore.New(memstore.Config{}), "near"}, place{memstore.New(memstore.Config{}), "far"}
	var ids []blobnet.ID
	for i, p := range []place{near, far, far} {
		blob := fmt.Appendf(nil, "blob number %d", i)
		ids = append(ids, blobnet.Sum(blob))
		if err := p.Put(ctx, ids[i], blob); err != nil {
			log.Fatal(err)
		}
	}
	store := memstore.New(memstore.Config{})
	swarm, err := fetch.New(fetch.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	swarm.Add(near)
	swarm.Add(far)

	wanted := func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
	err = fetch.Each(ctx, swarm, wanted,
		func(id blobnet.ID) fetch.Want { return fetch.Want{ID: id, Class: blobnet.Foreground} },
		func(blobnet.ID, []byte, bool) error { return nil })
	has, hasErr := store.Has(ctx, ids...)
	fmt.Println(has, errors.Join(err, hasErr))
	// Output: [true true true] <nil>
}
