package publisher_test

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/publisher"
)

// A publisher who removes what is old never runs out of room.
func TestWhatAReleaseRemovesOrReplacesIsPinnedNoLonger(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("data")
	publish := func(files map[string][]byte, remove ...string) []channel.FileEntry {
		t.Helper()
		entries := w.ingest(files)
		if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: entries, Remove: remove}); err != nil {
			t.Fatal(err)
		}
		return entries
	}
	pinned := func(e channel.FileEntry) bool {
		t.Helper()
		var is bool
		err := w.store.List(t.Context(), func(info blobnet.Info) error {
			is = is || info.ID == e.Root.ID && info.Pinned
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	first := publish(map[string][]byte{"a": []byte("one"), "b": []byte("two")})
	second := publish(map[string][]byte{"a": []byte("three")})
	for _, e := range first {
		if got, want := pinned(e), e.Name == "b"; got != want {
			t.Errorf("%s of the first release: pinned is %v, want %v", e.Name, got, want)
		}
	}
	third := publish(map[string][]byte{"c": []byte("four")}, "b")
	for _, e := range []channel.FileEntry{second[0], third[0]} {
		if !pinned(e) {
			t.Errorf("%s is in the channel and not pinned", e.Name)
		}
	}
	for _, e := range first {
		if pinned(e) {
			t.Errorf("%s was replaced or removed, and is pinned", e.Name)
		}
	}
	if got := string(w.read(second[0])); got != "three" {
		t.Errorf("the channel's a is %q", got)
	}
}
