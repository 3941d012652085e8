package subscriber_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/subscriber"
)

// A few blobs can state a file of many tebibytes: an index may list one chunk again
// and again. It is refused before the first byte is written.
func TestAFileThatTheDiskCannotHoldIsRefusedBeforeItsFirstByte(t *testing.T) {
	w := newWorld(t)
	e := w.ingest(files{"bomb": pattern(codec.MinChunkSize, 1)})[0]
	below := e.Root
	for level := uint64(1); level <= 3; level++ {
		refs := make([]codec.Ref, codec.MaxRefs)
		for i := range refs {
			refs[i] = below
		}
		plain, err := dcbor.Marshal(struct {
			Format uint64      `cbor:"1,keyasint"`
			Level  uint64      `cbor:"2,keyasint"`
			Refs   []codec.Ref `cbor:"3,keyasint"`
		}{1, level, refs})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := codec.SealTo(t.Context(), w.store, plain, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ref.Size = below.Size * codec.MaxRefs
		below = ref
	}
	e.Root, e.Depth, e.Size = below, 3, below.Size
	dir := t.TempDir()
	done := uint64(0)
	_, err := downloadFile(t.Context(), w.swarm, e, filepath.Join(dir, "out"), func(p subscriber.Progress) { done = p.Done })
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "70368744177664") {
		t.Errorf("a file of 64 TiB: %v", err)
	}
	if done != 0 {
		t.Errorf("%d bytes were written first", done)
	}
	wantTree(t, dir, files{})
}

// Whoever can write to the output folder must not be able to lead the
// subscriber's own files out of it.
func TestALinkPlantedForTheLockTouchesNothing(t *testing.T) {
	w := newWorld(t)
	e := w.ingest(files{"f": pattern(1000, 1)})[0]
	dir := t.TempDir()
	out, victim := filepath.Join(dir, "out", "file"), filepath.Join(dir, "victim")
	tag := sha256.Sum256([]byte("download\x00file"))
	work := filepath.Join(dir, "out", ".aml-partial", hex.EncodeToString(tag[:6]))
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, plant := range map[string]func(string) error{
		"symbolic link": func(path string) error { return os.Symlink(victim, path) },
		"hard link":     func(path string) error { return os.Link(victim, path) },
	} {
		lock := filepath.Join(work, "lock")
		if err := plant(lock); err != nil {
			t.Fatal(err)
		}
		if _, err := downloadFile(t.Context(), w.swarm, e, out, nil); err == nil || !strings.Contains(err.Error(), lock) {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := os.ReadFile(victim); err != nil || !bytes.Equal(got, []byte("precious")) {
			t.Errorf("%s: the victim holds %q, %v", what, got, err)
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
}
