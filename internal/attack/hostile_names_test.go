package attack

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A publisher is the adversary: it signs names that lead out of the folder, hide
// what they are, or are the node's own. Every node refuses such a release,
// whoever brings it. Of names that may be signed, what the reader's folder makes
// of them stays in the folder: here somebody has put links into it that lead out.
func TestHostileNames(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "named")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	files := map[string]string{"music/song": "la", "plain": "text"}
	pub.release(ch, ch.Release(pub.ingest(files)))
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	const place = "XXXXXXXXXXXXXXXX"
	payload := w.encoded(next(ch, channel.Body{Entries: []channel.FileEntry{channeltest.Entry(place, 1000)}}))
	for _, name := range []string{
		"../outside", "a/../../outside", "/etc/passwd", "./here", "a//b", "a/", ".aml-partial/lock", ".AML-x", "a\\..\\b",
		"a\x00b", "line\nbreak", "txt.\u202eexe", "\u2066x", "e\u0301", "..", ".",
	} {
		// The name is as long as what it stands for, so that all lengths are right.
		pad := strings.Repeat("a", max(0, len(place)-len(name)))
		for _, n := range []string{name + pad, pad + name} {
			if channel.ValidName(n) == nil || len(n) != len(place) {
				continue // the padding has made it harmless
			}
			evil := bytes.Replace(payload, []byte(place), []byte(n), 1)
			a := newAdversary(w)
			a.meet(reader)
			a.fence(reader, ch)
			a.say(reader, room(ch), bundle(w, w.signed(channel.TypeManifest, evil, channeltest.Key(ch.Name))))
			reader.awaitEvent("the name to be refused", func(e gossip.Event) bool {
				return e.Kind == gossip.EventRejected && e.Peer == a.id()
			})
			w.must(a.host.Close())
		}
	}

	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	w.must(os.WriteFile(victim, []byte("precious"), 0o600))
	out := filepath.Join(reader.out, ch.Name)
	w.must(os.MkdirAll(out, 0o755))
	w.must(os.Symlink(outside, filepath.Join(out, "music")))
	w.must(os.Symlink(victim, filepath.Join(out, "plain")))
	_, err := reader.write(ch, channel.MemberKey{}, pub.host)
	if err == nil {
		t.Error("files were written through links")
	}
	w.wantFiles(outside, map[string]string{"victim": "precious"})

	w.must(os.Remove(filepath.Join(out, "music")))
	w.must(os.Remove(filepath.Join(out, "plain")))
	pub.release(ch, ch.Release(pub.ingest(map[string]string{"new": "honest", "music/song": "la", "plain": "text"})))
	reader.awaitAll(ch)
	_, err = reader.write(ch, channel.MemberKey{}, pub.host)
	w.must(err)
	w.wantFiles(out, map[string]string{"music/song": "la", "plain": "text", "new": "honest"})
}
