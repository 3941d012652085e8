package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// A home that knows nothing asks a peer what there is on a topic, and finds its way
// down; what it was told it can search without a network.
func TestATopicIsBrowsedFromAboveAndThenSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, home := filepath.Join(dir, "image.iso"), filepath.Join(dir, "b")
	write(t, file, []byte("an image"))
	ok(t, filepath.Join(dir, "p"), "channel-create", "software/linux", "--by", "Ann")
	publisher := start(t, filepath.Join(dir, "p"), "channel-publish", "software/linux", file, "--title", "First")
	addr := publisher.addr()
	publisher.wait("published")

	type topic struct {
		Topics []struct {
			Topic    string `json:"topic"`
			Channels int    `json:"channels"`
		} `json:"topics"`
		Channels []struct {
			Address   string   `json:"address"`
			Title     string   `json:"title"`
			State     string   `json:"state"`
			By        []string `json:"by"`
			Seq       int      `json:"seq"`
			Release   string   `json:"release"`
			Followers int      `json:"followers"`
		} `json:"channels"`
		Asked int `json:"asked"`
	}
	browse := func(args ...string) (out topic) {
		t.Helper()
		text := ok(t, home, append(append([]string{"channel-browse"}, args...), "--peer", addr, "--wait", "1m", "--json")...)
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	above := browse("software")
	if above.Asked != 1 || len(above.Channels) != 0 || len(above.Topics) != 1 || above.Topics[0].Topic != "software/linux" || above.Topics[0].Channels != 1 {
		t.Fatalf("software: %+v", above)
	}
	on := browse("software/linux")
	if len(on.Channels) != 1 || on.Channels[0].Title != "software/linux" || on.Channels[0].State != "listed" || on.Channels[0].Seq != 1 {
		t.Fatalf("software/linux: %+v", on)
	}
	if by := on.Channels[0].By; len(by) != 1 || by[0] != "Ann" || on.Channels[0].Release != "" {
		t.Errorf("by %q; the release of a listed channel has the title %q", by, on.Channels[0].Release)
	}
	publisher.kill()
	if again := browse("software/linux", "--offline"); len(again.Channels) != 1 || again.Channels[0].Followers > 1 {
		t.Errorf("offline: %+v", again)
	}
	var found struct {
		Hits []struct {
			Address string `json:"address"`
		} `json:"hits"`
	}
	if err := json.Unmarshal([]byte(ok(t, home, "search", "linux", "--json")), &found); err != nil || len(found.Hits) != 1 || found.Hits[0].Address != on.Channels[0].Address {
		t.Errorf("search: %+v, %v", found, err)
	}
}

func TestAFewPublishersAreNamedAndTheOthersCounted(t *testing.T) {
	for _, v := range []struct {
		names   []string
		unnamed int
		want    string
	}{
		{nil, 0, ""}, {nil, 3, ""}, {[]string{"Ann"}, 0, `by "Ann"`}, {[]string{"Ann"}, 2, `by "Ann" and 2 more`},
		{[]string{"Ann", "Ben", "Cem"}, 0, `by "Ann", "Ben", "Cem"`}, {[]string{"Ann", "Ben", "Cem", "Dot", "Eve"}, 1, `by "Ann", "Ben", "Cem" and 3 more`},
	} {
		if got := byWords(v.names, v.unnamed); got != v.want {
			t.Errorf("%q and %d: %q, want %q", v.names, v.unnamed, got, v.want)
		}
	}
}
