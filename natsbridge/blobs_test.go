package natsbridge

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/anonymous-media-library/aml/blobnet"
)

func blobsOf(t testing.TB, url string, maxBytes int64) *Blobs {
	t.Helper()
	b, err := dialTest(t, url).Blobs(t.Context(), 1, maxBytes, true)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBlobsGoThroughTheObjectStoreAndWhatIsWrongThereIsNone(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	if _, err := dialTest(t, url).Blobs(t.Context(), 1, DefaultBlobs, false); err == nil {
		t.Error("one who may make no store has one")
	}
	a, b := blobsOf(t, url, DefaultBlobs), blobsOf(t, url, 1) // which is there already
	ctx := t.Context()
	large := bytes.Repeat([]byte("a sealed blob "), blobnet.MaxBlobSize/14)
	id, none := blobnet.Sum(large), blobnet.Sum([]byte("none"))
	for range 2 {
		if err := a.Put(ctx, id, large); err != nil {
			t.Fatal(err)
		}
	}
	if has, err := b.Have(ctx, []blobnet.ID{none, id}); err != nil || has[0] || !has[1] {
		t.Errorf("%v, %v", has, err)
	}
	if got, err := b.Get(ctx, id, []byte("> ")); err != nil || !bytes.Equal(got[2:], large) || string(got[:2]) != "> " {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := b.Get(ctx, none, []byte("> ")); !errors.Is(err, blobnet.ErrNotFound) || string(got) != "> " {
		t.Errorf("%q, %v", got, err)
	}

	// Somebody puts something else in its place, or far too much.
	for what, data := range map[string][]byte{"another": []byte("another"), "too much": make([]byte, blobnet.MaxBlobSize+1), "nothing": nil} {
		if err := a.Put(ctx, id, data); err != nil {
			t.Fatal(err)
		}
		if has, err := b.Have(ctx, []blobnet.ID{id}); err != nil || has[0] {
			t.Errorf("%s: %v, %v", what, has, err)
		}
		if got, err := b.Get(ctx, id, nil); !errors.Is(err, blobnet.ErrCorrupt) && !errors.Is(err, blobnet.ErrTooLarge) || len(got) > 0 {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	if err := b.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := a.Put(ctx, id, large); err != nil {
		t.Fatal(err)
	}
	if has, err := b.Have(ctx, []blobnet.ID{id}); err != nil || !has[0] {
		t.Errorf("put again: %v, %v", has, err)
	}
}

func TestWhatAnObjectIsSaidToBeHarmsNoBlob(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	b := blobsOf(t, url, DefaultBlobs)
	_, js := client(t, url)
	blob, other := []byte("a blob"), []byte("another blob")
	id, kept := blobnet.Sum(blob), blobnet.Sum(other)
	if err := b.Put(t.Context(), kept, other); err != nil {
		t.Fatal(err)
	}
	its, err := b.bucket.GetInfo(t.Context(), kept.String())
	if err != nil {
		t.Fatal(err)
	}
	meta := func(name, nuid, more string) string {
		return fmt.Sprintf(`{"name":%q,"bucket":%q,"nuid":%q,"size":6,"mtime":"2026-01-01T00:00:00Z","chunks":1,"digest":%q%s}`, name, b.of, nuid, objectDigest(id), more)
	}
	link := func(name string) string {
		return fmt.Sprintf(`,"options":{"link":{"bucket":%q,"name":%q}}`, b.of, name)
	}
	for what, said := range map[string]string{
		"a link to itself": meta(id.String(), "abc", link(id.String())), "a link to another": meta(id.String(), "abc", link(kept.String())), "nothing that can be read": "{", "an empty message": "",
		"all parts there are": meta(id.String(), ">", ""), "any parts": meta(id.String(), "*", ""), "no parts": meta(id.String(), "", ""), "parts that are not there": meta(id.String(), "abc", ""),
		"the parts of another": meta(id.String(), its.NUID, ""), "the name of another": meta(kept.String(), its.NUID, ""), "another bucket": meta(id.String(), "a.b", ""),
	} {
		if _, err := js.Publish(t.Context(), b.said(id), []byte(said)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrCorrupt) || len(got) > 0 {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if err := b.Delete(t.Context(), id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if has, err := b.Have(t.Context(), []blobnet.ID{id}); err != nil || has[0] {
			t.Errorf("%s: %v, %v", what, has, err)
		}
		if _, err := js.Publish(t.Context(), b.said(id), []byte(said)); err != nil {
			t.Fatal(err)
		}
		if err := b.Put(t.Context(), id, blob); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for id, want := range map[blobnet.ID][]byte{id: blob, kept: other} {
			if got, err := b.Get(t.Context(), id, nil); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: then %q, %v", what, got, err)
			}
		}
	}
	// Other programs read it as any object.
	if got, err := b.bucket.GetBytes(t.Context(), id.String()); err != nil || !bytes.Equal(got, blob) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAFullObjectStoreSaysSo(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), func(o *server.Options) { o.JetStreamMaxStore = 64 << 20 }).ClientURL()
	b := blobsOf(t, url, 1<<20)
	blob := make([]byte, 700<<10)
	if err := b.Put(t.Context(), blobnet.Sum(blob), blob); err != nil {
		t.Fatal(err)
	}
	more := append(blob, 1)
	if err := b.Put(t.Context(), blobnet.Sum(more), more); !errors.Is(err, ErrFull) {
		t.Errorf("a full store: %v", err)
	}
	if got, err := b.Get(t.Context(), blobnet.Sum(blob), nil); err != nil || len(got) != len(blob) {
		t.Errorf("what was there: %d bytes, %v", len(got), err)
	}
}
