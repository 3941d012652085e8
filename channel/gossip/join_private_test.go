package gossip

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
)

// Of a private channel, whoever has no key joins by the snapshot as well: it holds
// what readers need, passes it on, and knows what may go, without a word of it.
func TestBlindMirrorJoinsBySnapshot(t *testing.T) {
	t.Parallel()
	own, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	pub, err := publisher.New(publisher.Config{Blobs: memstore.New(memstore.Config{}), Ledger: own})
	if err != nil {
		t.Fatal(err)
	}
	key := testKey("private log")
	created, err := pub.Create(t.Context(), publisher.CreateSpec{
		Topics: []string{"t"}, Title: "Secret title", Class: channel.Private, Key: key, KeyFile: "none", KeyDir: filepath.Join(t.TempDir(), "keys"),
	})
	if err != nil {
		t.Fatal(err)
	}
	id := created.Channel
	blind := ledgerFor(t, id) // follows from the first release on
	publish := func(n int) {
		for i := range n {
			text := fmt.Sprint("secret name ", i%2)
			release := publisher.Release{Channel: id, Key: key, Title: text, Metadata: map[string]string{"secret": text}}
			draft := channel.Draft{Entries: []channel.DraftEntry{{Path: file(t, text)}}}
			r, err := pub.FromDraft(t.Context(), publisher.DraftSpec{Draft: draft, Channel: id, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			release.Entries = r.Entries
			if _, err := pub.Publish(t.Context(), release); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(5)
	if _, err := pullFrom(t, blind, own, id); err != nil {
		t.Fatal(err)
	}
	if err := pub.Snapshot(t.Context(), id, key); err != nil {
		t.Fatal(err)
	}
	publish(1)
	if _, err := pullFrom(t, blind, own, id); err != nil {
		t.Fatal(err)
	}
	dead, err := blind.Dead(t.Context(), id, 0, 0)
	if err != nil || len(dead) != 3 || dead[0].Manifest.Inventory == nil {
		t.Errorf("%d may go, %v", len(dead), err)
	}
	late, reader := ledgerFor(t, id), ledgerFor(t, id)
	if _, err := pullFrom(t, late, own, id); err != nil {
		t.Fatal(err)
	}
	if _, err := pullFrom(t, reader, late, id); err != nil { // from one blind mirror to the next
		t.Fatal(err)
	}
	snap, err := late.Snapshot(t.Context(), id, key.Public())
	if err != nil || snap.Seq != 5 || snap.Epoch != 1 {
		t.Fatalf("%+v, %v", snap.Snapshot, err)
	}
	pages, _, err := late.Pages(t.Context(), id, key.Public(), snap.Payload, 0, 9, 9, 1<<20)
	if err != nil || len(pages) != 1 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, data := range [][]byte{snap.Envelope, snap.Anchor, pages[0]} {
		if bytes.Contains(bytes.ToLower(data), []byte("secret")) {
			t.Error("a secret is in clear")
		}
	}
	sealed, err := reader.Sealed(t.Context(), id, 0, 0)
	if err != nil || len(sealed) != 3 {
		t.Fatalf("%d releases came, %v", len(sealed), err)
	}
	if seqs := []uint64{sealed[0].Seq, sealed[1].Seq, sealed[2].Seq}; !slices.Equal(seqs, []uint64{4, 5, 6}) {
		t.Errorf("%v came", seqs)
	}
	for _, r := range sealed {
		body, err := r.Manifest.Unseal(created.ReadKey)
		if err == nil {
			err = reader.Unseal(t.Context(), id, catalog.Opened{Manifest: r.Hash, Body: body})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sameView(t, own, reader, id)
}

// file writes a file with that name and content.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
