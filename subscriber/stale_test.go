package subscriber_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// newWorldOfKind is a world whose subscriber's clock goes ahead by what it returns.
func newWorldOfKind(t *testing.T, kind channel.Kind) (*world, *atomic.Int64) {
	t.Helper()
	w := newWorld(t)
	created, err := w.pub.Create(t.Context(), publisher.CreateSpec{Topics: []string{"u"}, Kind: kind, Key: w.key, KeyDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w.id = created.Channel
	var ahead atomic.Int64
	c, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db"),
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.ledger = c
	w.subscribe()
	return w, &ahead
}

const longAfterEveryHead = 60 * 24 * time.Hour

// reasonsHeld are those of the events since the last take.
func (w *world) reasonsHeld() (reasons []string) {
	for _, e := range w.take() {
		if e, ok := e.(subscriber.HeldEvent); ok {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

func TestWhatIsStaleIsNotInstalledButListed(t *testing.T) {
	w, ahead := newWorldOfKind(t, channel.Update)
	w.publish("one", files{"tool": "one"})
	w.update()
	w.publish("two", files{"tool": "two"})
	ahead.Store(int64(longAfterEveryHead))
	w.sync()
	w.take()
	if err := w.follow(); !errors.Is(err, subscriber.ErrHeld) {
		t.Fatalf("following what is stale: %v", err)
	}
	w.wantTree(files{"tool": "one"})
	if got := w.reasonsHeld(); len(got) != 1 || got[0] != "stale" {
		t.Errorf("held for %q", got)
	}
	if info, err := w.ledger.Channel(t.Context(), w.id); err != nil || info.Releases != 2 {
		t.Errorf("listed are %d releases, %v", info.Releases, err)
	}

	order := w.order()
	order.Stale = true
	if err := w.subscriber().Follow(t.Context(), order, w.emit); err != nil {
		t.Fatal(err)
	}
	w.wantTree(files{"tool": "two"})
	if err := w.follow(); !errors.Is(err, subscriber.ErrHeld) {
		t.Errorf("it was remembered: %v", err)
	}
}

func TestWhatIsStalePlaysOn(t *testing.T) {
	w, ahead := newWorldOfKind(t, channel.Media)
	w.publish("one", files{"song": "one"})
	ahead.Store(int64(longAfterEveryHead))
	w.update()
	w.wantTree(files{"song": "one"})
}

// While it is held back the blobs come, so that what is fresh again is there at
// once and others can have it.
func TestWhatIsHeldBackIsMirroredAndWrittenWhenItIsFresh(t *testing.T) {
	w, ahead := newWorldOfKind(t, channel.Update)
	entries := w.ingest(files{"tool": "one"})
	w.release(publisherRelease(entries))
	ahead.Store(int64(longAfterEveryHead))
	w.sync()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	order := w.order()
	order.Once = false
	wrote, mirrored := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- w.subscriber().Follow(ctx, order, func(e subscriber.Event) {
			switch e.(type) {
			case subscriber.HeldEvent:
				close(mirrored)
			case subscriber.FileEvent:
				once.Do(func() { close(wrote) })
			}
		})
	}()
	<-mirrored
	for deadline := time.After(time.Minute); ; {
		if has, err := w.store.Has(ctx, entries[0].Root.ID); err == nil && has[0] {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the blobs do not come")
		case err := <-done:
			t.Fatalf("following ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	w.wantTree(nil)
	ahead.Store(0)
	w.publish("two", files{"other": "two"})
	w.sync() // what tells that it is fresh
	select {
	case <-wrote:
	case err := <-done:
		t.Fatalf("following ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("nothing is written")
	}
	cancel()
	<-done
	if _, err := os.Stat(filepath.Join(w.out, "tool")); err != nil {
		t.Error(err)
	}
}
