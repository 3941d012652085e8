package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A key whose time is over is none that may publish: it leaves nothing to choose
// from, and where it is the only one that is what is said.
func TestAKeyWhoseTimeIsOverIsNotCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, file := filepath.Join(dir, "h"), must(t, filepath.Join(dir, "file"), "x")
	ok(t, home, "init")
	for _, name := range []string{"ended", "good"} {
		if err := keyfile.Write(filepath.Join(home, "keys", name+".pem"), channeltest.Key(name)); err != nil {
			t.Fatal(err)
		}
	}
	c := channeltest.NewChannel(t, "founder")
	first := c.Envelope
	c.Now = time.Now().Add(-10 * 24 * time.Hour)
	root2 := c.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers,
			channel.Publisher{Key: channeltest.Pub("ended"), Role: channel.RolePublish, Expires: channel.TimeOf(c.Now.Add(time.Hour))},
			channel.Publisher{Key: channeltest.Pub("good"), Role: channel.RolePublish})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	})
	knows(t, home, c.ID, first, root2)
	address := "aml://" + c.ID.String()
	publish(t, home, address, file, "--only-holder")
	if err := os.Remove(filepath.Join(home, "keys", "good.pem")); err != nil {
		t.Fatal(err)
	}
	fails(t, 5, home, []string{"channel-publish", address, file, "--once"}, "ended.pem ended", "channel-delegate")
}
