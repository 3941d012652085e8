package subscriber_test

import (
	"fmt"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Who does not follow a channel learns what it says, sealed and in a blob, and has
// none of its files.
func TestWhoDoesNotFollowLearnsWhatAChannelSaysAndFetchesNoFile(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, channel.Private)
	large := files{}
	for i := range 300 {
		large[fmt.Sprintf("folder/with/a/long/name/%04d", i)] = fmt.Sprint(i)
	}
	w.publish("one", files{"a": "first"})
	w.publish("large", large)
	w.sync()
	w.learn(w.readKey)
	s := w.subscriber()
	if err := s.Learn(t.Context(), w.id); err != nil {
		t.Fatal(err)
	}
	seen, blobs := 0, 0
	for e, err := range w.ledger.Entries(t.Context(), w.id, catalog.EntryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		has, err := w.store.Has(t.Context(), e.Root.ID)
		if err != nil {
			t.Fatal(err)
		}
		if seen++; has[0] {
			blobs++
		}
	}
	if seen != 301 || blobs != 0 {
		t.Errorf("%d files are known, of %d a blob is here", seen, blobs)
	}
	if err := s.Learn(t.Context(), w.id); err != nil {
		t.Errorf("once more: %v", err)
	}
}
