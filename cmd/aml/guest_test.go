package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// The README's lines for a guest are run as they are written there, but for the
// peer, which in life is found. The channel is private, and the address the whole
// one: who has it can publish without having followed.
func TestTheReadmesGuestPublishes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, guest := filepath.Join(dir, "p"), filepath.Join(dir, "g")
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := func(start string) []string {
		t.Helper()
		for text := range strings.Lines(string(readme)) {
			if text, _, _ := strings.Cut(text, "#"); strings.HasPrefix(text, start) {
				return strings.Fields(text)[1:]
			}
		}
		t.Fatalf("the README has no line that begins with %q", start)
		return nil
	}
	with := func(args []string, from, to string) []string {
		t.Helper()
		for i, a := range args {
			if a == from {
				args[i] = to
				return args
			}
		}
		t.Fatalf("no %s in %q", from, args)
		return nil
	}
	created := decoded[addresses](t, ok(t, owner, "channel-create", "music/live", "--private", "--read-key", "--json"))
	publish(t, owner, "music/live", must(t, filepath.Join(dir, "show.flac"), "a show"))
	key, _, _ := strings.Cut(ok(t, guest, line("aml key-new studio")...), "\n")
	ok(t, owner, with(line("aml channel-delegate music/live PUBKEY --scope"), "PUBKEY", key)...)
	ownerAddr := start(t, owner, "daemon").addr()

	publishes := with(line("aml channel-publish aml://ADDRESS track.flac"), "aml://ADDRESS", created.ReadAddress)
	publishes = append(with(publishes, "track.flac", must(t, filepath.Join(dir, "track.flac"), "a track")), "--peer", ownerAddr)
	second := start(t, guest, publishes...)
	guestAddr := second.addr()
	second.wait("published")
	// Its owner need not follow the channel to see what the guest has published, also
	// where a release says more than a manifest holds.
	until(t, "the owner sees the guest's file", func() bool {
		return strings.Contains(ok(t, owner, "channel-show", created.Address), "file      guests/track.flac")
	})
	said, _ := json.Marshal(map[string]any{"title": "notes", "remove": []string{"guests/track.flac"}, "metadata": map[string]string{
		"1": strings.Repeat("long ", 800), "2": strings.Repeat("long ", 800), "3": strings.Repeat("long ", 800), "4": strings.Repeat("long ", 800),
		"5": strings.Repeat("long ", 800), "6": strings.Repeat("long ", 800), "7": strings.Repeat("long ", 800), "8": strings.Repeat("long ", 800),
		"9": strings.Repeat("long ", 800)}, "entries": []any{map[string]string{"path": "track.flac", "name": "guests/again.flac"}}})
	ok(t, guest, "channel-publish", created.Address, "-i", must(t, filepath.Join(dir, "notes.json"), string(said)))
	until(t, "the owner sees what a large release says", func() bool {
		text := ok(t, owner, "channel-show", created.Address)
		return strings.Contains(text, "guests/again.flac") && strings.Contains(text, "removed   guests/track.flac")
	})

	out := filepath.Join(dir, "out")
	ok(t, filepath.Join(dir, "r"), "channel-subscribe", created.ReadAddress, "-o", out, "--peer", guestAddr, "--once")
	if got := tree(t, out); len(got) != 2 || got["guests/again.flac"] == "" {
		t.Errorf("the reader has %v", got)
	}
}

// The root of a rotation came from elsewhere, or this node was killed before it
// could go on: its daemon makes the first release with the new key.
func TestADaemonBeginsTheLogOfAKeyThatARootMadeElsewhereNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, draft := filepath.Join(dir, "h"), filepath.Join(dir, "draft.json")
	address := publish(t, home, "t", must(t, filepath.Join(dir, "file"), "x"))
	roots, err := filepath.Glob(filepath.Join(home, "keys", "root-*.pem"))
	if err != nil || len(roots) != 1 {
		t.Fatal(roots, err)
	}
	ok(t, home, "channel-rotate", "t", "-o", draft)
	ok(t, home, "channel-root-sign", draft, "-k", roots[0], "-o", draft)
	text, err := os.ReadFile(draft)
	if err != nil {
		t.Fatal(err)
	}
	d, err := channel.ParseRootDraft(text)
	if err != nil {
		t.Fatal(err)
	}
	root2, err := d.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	knows(t, home, d.Channel, root2)
	if out := ok(t, home, "channel-show", address); !strings.Contains(out, "stale") || !strings.Contains(out, "version 2") {
		t.Fatalf("before: %s", out)
	}
	start(t, home, "daemon").addr()
	until(t, "the log of the new key has begun", func() bool {
		out := ok(t, home, "channel-show", address)
		return !strings.Contains(out, "stale") && strings.Contains(out, "1 release, fresh until")
	})
}

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
	fails(t, 1, home, []string{"channel-publish", address, file, "--once"}, "ended.pem ended", "channel-delegate")
}
