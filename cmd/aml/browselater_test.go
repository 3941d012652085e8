package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
)

// What is shown of a channel whose root was changed more often than a listing says is
// what it is now, or is said to be old.
func TestBrowseFollowsTheRootsThatAListingDoesNotHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, owner := filepath.Join(dir, "b"), filepath.Join(dir, "p")
	ok(t, owner, "channel-create", "music/live", "--by", "Ann")
	addr := start(t, owner, "daemon", "--set", "dht=false").addr()
	file := filepath.Join(dir, "song.ogg")
	write(t, file, []byte("a song"))
	publish(t, owner, "music/live", file)
	ann := channel.PrivateKeyFromSeed([32]byte{7}).Public().String()
	for i := range 9 { // signs no head, as a rotation would
		ok(t, owner, "channel-delegate", "music/live", ann, "--name", fmt.Sprint("Ann ", i))
	}
	browse := func(args ...string) (seq int, old bool) {
		t.Helper()
		var out struct {
			Channels []struct {
				Seq   int    `json:"seq"`
				Old   bool   `json:"old"`
				State string `json:"state"`
			} `json:"channels"`
		}
		text := ok(t, home, append([]string{"channel-browse", "music/live", "--json", "--set", "dht=false"}, args...)...)
		if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Channels) != 1 || out.Channels[0].State != "listed" {
			t.Fatalf("browsed: %s, %v", text, err)
		}
		return out.Channels[0].Seq, out.Channels[0].Old
	}
	if seq, old := browse("--peer", addr, "--wait", "1m"); seq != 1 || old {
		t.Errorf("release %d, old %v", seq, old)
	}
	if seq, old := browse("--offline"); seq != 0 || !old {
		t.Errorf("offline: release %d, old %v", seq, old)
	}
}
