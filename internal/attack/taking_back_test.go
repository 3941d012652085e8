package attack

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/subscriber/letgo"
)

// Who publishes in a channel of its own lists another channel's file there, beside
// one of its own, and takes both back. A mirror of both channels lets go of what is
// that publisher's, and serves the other one's as before.
func TestAPublisherWhoTakesBackTheBlobsOfOthers(t *testing.T) {
	w := newWorld(t)
	honest, thief := newChannel(w, "honest"), newChannel(w, "taker")
	pub, taker := newParty(w, "publisher"), newParty(w, "taker")
	theirs := map[string]string{"theirs": pattern(200_000, 1)}
	listed := pub.ingest(theirs)
	pub.release(honest, honest.Release(listed))
	own := taker.ingest(map[string]string{"own": pattern(200_000, 2)})
	both := channel.Body{Entries: append(append([]channel.FileEntry{}, own.Entries...), listed.Entries...)}
	both.Sort()
	taker.release(thief, thief.Release(both))

	mirror := newParty(w, "mirror")
	mirror.follow(honest, pub.host)
	mirror.follow(thief, taker.host)
	mirror.awaitAll(honest)
	mirror.awaitAll(thief)
	_, err := mirror.write(honest, channel.MemberKey{}, pub.host)
	w.must(err)
	_, err = mirror.write(thief, channel.MemberKey{}, taker.host, pub.host)
	w.must(err)

	t.Log("it takes back what it listed")
	taker.release(thief, thief.Release(channel.Body{Removals: []channel.Removal{{Name: "own"}, {Name: "theirs"}}}))
	mirror.awaitAll(thief)
	files, err := inplace.Open(t.Context(), inplace.Config{Inner: mirror.store, Path: filepath.Join(t.TempDir(), "inplace.db")})
	w.must(err)
	defer files.Close()
	pass, err := letgo.New(letgo.Config{Ledger: mirror.ledger, Blobs: files,
		Pinned: func(_ context.Context, ids ...blobnet.ID) ([]bool, error) { return make([]bool, len(ids)), nil }})
	w.must(err)
	res, err := pass.Pass(t.Context(), func(channel.ID) bool { return true })
	w.must(err)
	has := func(body channel.Body) bool {
		there, err := mirror.store.Has(t.Context(), body.Entries[0].Root.ID)
		w.must(err)
		return there[0]
	}
	if has(own) || !has(listed) || res.Deleted == 0 {
		t.Errorf("%d blobs were deleted; its own is there: %v, the other's: %v", res.Deleted, has(own), has(listed))
	}

	t.Log("and the mirror has all of the other channel for who comes now, and what is new")
	pub.release(honest, honest.Release(pub.ingest(map[string]string{"new": pattern(90_000, 3)})))
	mirror.awaitAll(honest)
	_, err = mirror.write(honest, channel.MemberKey{}, pub.host)
	w.must(err)
	pub.stop()
	reader := newParty(w, "reader")
	reader.follow(honest, mirror.host)
	reader.awaitAll(honest)
	out, err := reader.write(honest, channel.MemberKey{}, mirror.host)
	w.must(err)
	theirs["new"] = pattern(90_000, 3)
	w.wantFiles(out, theirs)
}
