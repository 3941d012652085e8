package subscriber_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// Who mirrors blindly, waits for something that nobody has, and is made a member
// meanwhile, reads at once: what is not to be had is a mirror's business.
func TestWhoIsLetInWhileItMirrorsReadsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, channel.Private)
	w.member = newMember(t)
	w.publish("one", files{"a": "first"})
	w.sync()
	known, err := w.ledger.Releases(t.Context(), w.id, 0, 1)
	if err != nil || len(known) != 1 || known[0].Manifest.Inventory == nil {
		t.Fatalf("%d releases, %v", len(known), err)
	}
	gone, asked := *known[0].Manifest.Inventory, make(chan struct{})
	tell := sync.OnceFunc(func() { close(asked) })
	w.peer.onGet = func(id blobnet.ID) error {
		if id != gone {
			return nil
		}
		tell()
		return blobnet.ErrNotFound
	}
	if w.swarm, err = fetch.New(fetch.Config{Store: w.store, StallTimeout: time.Hour, NotFoundRetry: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	w.swarm.Add(w.peer)
	ctx, cancel := context.WithCancel(t.Context())
	file, ended := make(chan struct{}), make(chan error, 1)
	order := w.order()
	order.Once = false
	go func() {
		ended <- w.subscriber().Follow(ctx, order, func(e subscriber.Event) {
			if _, ok := e.(subscriber.FileEvent); ok {
				close(file)
			}
		})
	}()
	<-asked
	w.members(publisher.MembersSpec{Add: publics(w.member)})
	w.sync()
	select {
	case <-file:
	case <-time.After(90 * time.Second):
		t.Error("it still mirrors")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("following: %v", err)
	}
	w.wantTree(files{"a": "first"})
}
