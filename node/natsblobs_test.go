package node

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// Whoever may write to the object store puts wrong things under many names: they are
// taken away, and what is right there is had all the same.
func TestJunkInTheObjectStoreHidesNothingElse(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(90 * time.Second) {
		t.Fatal("nats-server does not start")
	}
	conn, err := natsbridge.Dial(t.Context(), natsbridge.Server{URLs: []string{s.ClientURL()}}, natsbridge.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	store, err := conn.Blobs(t.Context(), 1, natsbridge.DefaultBlobs, true)
	if err != nil {
		t.Fatal(err)
	}
	var wrong []blobnet.ID
	for i := range 4 {
		id := blobnet.Sum(fmt.Append(nil, i))
		junk := []byte("junk")
		if i == 3 {
			junk = make([]byte, blobnet.MaxBlobSize+1)
		}
		if err := store.Put(t.Context(), id, junk); err != nil {
			t.Fatal(err)
		}
		wrong = append(wrong, id)
	}
	blob := []byte("a sealed blob")
	if err := store.Put(t.Context(), blobnet.Sum(blob), blob); err != nil {
		t.Fatal(err)
	}
	peer := natsPeer{store, false, slog.New(slog.DiscardHandler)}
	bans := new(fetch.Bans)
	swarm, err := fetch.New(fetch.Config{Bans: bans, NotFoundRetry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	swarm.Add(peer)
	for _, id := range wrong {
		if _, err := peer.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("junk is %v", err)
		}
		if _, err := store.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("it is there still: %v", err)
		}
		if err := store.Put(t.Context(), id, []byte("junk")); err != nil { // and put there again
			t.Fatal(err)
		}
		if _, err := swarm.Fetch(t.Context(), fetch.Want{ID: id, Patience: time.Millisecond}, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("fetching junk: %v", err)
		}
	}
	if got, err := swarm.Fetch(t.Context(), fetch.Want{ID: blobnet.Sum(blob)}, nil); err != nil || string(got) != string(blob) {
		t.Errorf("%q, %v", got, err)
	}
	if bans.Banned(peer.Name()) {
		t.Error("the store is asked for nothing more")
	}
}
