package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

func TestAFolderBecomesEntriesSortedByNameBelowIt(t *testing.T) {
	w := newWorld(t, 0)
	files := map[string][]byte{"b.txt": []byte("text"), "a/z.bin": pattern(3*codec.MinChunkSize+5, 1), "a/é.mkv": pattern(10, 2), "empty": nil, "a-b": []byte("\x89PNG\r\n\x1a\n")}
	for name, content := range files {
		w.file("in/"+name, content)
	}
	w.file("in/.aml-partial/x/unfinished", []byte("not for others"))
	if err := os.Chmod(filepath.Join(w.dir, "in/b.txt"), 0o750); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(w.dir, "in/b.txt"), when, when); err != nil {
		t.Fatal(err)
	}
	var last publisher.Progress
	res, err := w.Ingest(t.Context(), publisher.IngestSpec{
		Path: filepath.Join(w.dir, "in"), ChunkSize: codec.MinChunkSize, OnProgress: func(p publisher.Progress) { last = p },
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	total := 0
	for _, e := range res.Entries {
		names = append(names, e.Name)
		if got := w.read(e); !bytes.Equal(got, files[e.Name]) {
			t.Errorf("%s has %d bytes, want %d", e.Name, len(got), len(files[e.Name]))
		}
		total += len(files[e.Name])
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(names, " "); got != "a-b a/z.bin a/é.mkv b.txt empty" || !res.Folder {
		t.Errorf("names %q", got)
	}
	b := res.Entries[3]
	if b.Mode != 0o750 || b.Modified != channel.TimeOf(when) || b.MediaType != "text/plain; charset=utf-8" || b.Size != 4 {
		t.Errorf("entry %+v", b)
	}
	if got := res.Entries[0].MediaType; got != "image/png" {
		t.Errorf("a-b is %q by its content", got)
	}
	if last.Done != uint64(total) || last.Total != uint64(total) {
		t.Errorf("last progress %+v, want %d", last, total)
	}
	s := w.stats()
	if s.Pinned != s.BlobCount || s.BlobCount < 8 {
		t.Errorf("%d of %d blobs are pinned", s.Pinned, s.BlobCount)
	}
	if order := w.noted(); order[len(order)-1] != "sync" {
		t.Errorf("ingest ended with %v", order)
	}
}

func TestASingleFileHasItsBaseNameOrTheOneGiven(t *testing.T) {
	w := newWorld(t, 0)
	path := w.file("some/where/Movie.MKV", pattern(100, 1))
	res, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: path})
	if err != nil || res.Folder || len(res.Entries) != 1 || res.Entries[0].Name != "Movie.MKV" || res.Entries[0].MediaType != "video/x-matroska" {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = w.Ingest(t.Context(), publisher.IngestSpec{Path: path, Name: "x/y.mkv", Attrs: map[string]string{"k": "v"}})
	if err != nil || res.Entries[0].Name != "x/y.mkv" || res.Entries[0].Attrs["k"] != "v" {
		t.Errorf("%+v, %v", res, err)
	}
	if s := w.stats(); s.Pinned != 2 || s.BlobCount != 2 {
		t.Errorf("%+v", s)
	}
}

func TestManySmallFilesAreAllThere(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 200 {
		w.file(fmt.Sprintf("in/%d/%03d", i%7, i), pattern(2000+i, byte(i)))
	}
	res, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, "in")})
	if err != nil || len(res.Entries) != 200 {
		t.Fatalf("%d entries, %v", len(res.Entries), err)
	}
	for _, e := range res.Entries {
		var i int
		fmt.Sscanf(e.Name[2:], "%d", &i)
		if !bytes.Equal(w.read(e), pattern(2000+i, byte(i))) {
			t.Errorf("%s has other bytes", e.Name)
		}
	}
}

func TestLinksInsideAreSharedAndAllOthersRefused(t *testing.T) {
	link := func(w *world, to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(w.dir, "in", name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	t.Run("inside", func(t *testing.T) {
		w := newWorld(t, 0)
		w.file("in/v2/app.txt", []byte("app"))
		link(w, "v2/app.txt", "latest.md")
		res, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, "in")})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Entries) != 2 || res.Entries[0].Name != "latest.md" || res.Entries[0].Root != res.Entries[1].Root || res.Entries[0].MediaType != "text/markdown; charset=utf-8" {
			t.Errorf("%+v", res.Entries)
		}
		if s := w.stats(); s.BlobCount != 1 {
			t.Errorf("%d blobs for one content", s.BlobCount)
		}
	})
	for name, to := range map[string]string{"out": "../secret", "absolute": "/etc/passwd", "dangling": "nothing", "folder": "sub", "loop": "loop", "up": ".."} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.file("secret", []byte("secret"))
			w.file("in/sub/file", []byte("x"))
			link(w, to, name)
			_, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, "in")})
			if !errors.Is(err, publisher.ErrLink) || !strings.Contains(err.Error(), filepath.Join(w.dir, "in", name)) {
				t.Errorf("%v", err)
			}
			if s := w.stats(); s.BlobCount != 0 {
				t.Errorf("%d blobs were stored", s.BlobCount)
			}
		})
	}
	t.Run("named by the user", func(t *testing.T) {
		w := newWorld(t, 0)
		w.file("in/real", []byte("real"))
		link(w, "real", "alias")
		res, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, "in", "alias")})
		if err != nil || res.Entries[0].Name != "alias" || string(w.read(res.Entries[0])) != "real" {
			t.Errorf("%v", err)
		}
	})
}

func TestInputThatCannotBeIngestedIsNamed(t *testing.T) {
	w := newWorld(t, 0)
	w.file("back/a\\b", nil)
	w.file("control/a\x01b", nil)
	w.file("bidi/a\u202eb", nil)
	w.file("reserved/.AML-x", nil)
	w.file("twice/\u00e9", nil)
	w.file("twice/e\u0301", nil)
	if err := os.MkdirAll(filepath.Join(w.dir, "empty/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"back": channel.ErrName, "control": channel.ErrName, "bidi": channel.ErrName, "reserved": channel.ErrName, "twice": channel.ErrName,
		"empty": publisher.ErrEmpty, "missing": fs.ErrNotExist,
	} {
		_, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: filepath.Join(w.dir, path)})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), filepath.Join(w.dir, path)) {
			t.Errorf("%s: %v, want %v with the path", path, err, want)
		}
	}
	if s := w.stats(); s.BlobCount != 0 {
		t.Errorf("%d blobs were stored", s.BlobCount)
	}
	ok := w.file("ok", nil)
	if _, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: ok, ChunkSize: 1000}); err == nil {
		t.Error("a chunk size of 1000 was taken")
	}
	if _, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: ok, Attrs: map[string]string{"": "v"}}); err == nil || !strings.Contains(err.Error(), "attrs") {
		t.Errorf("an attribute without a name: %v", err)
	}
	if s := w.stats(); s.BlobCount != 0 {
		t.Errorf("%d blobs were stored", s.BlobCount)
	}
}

// TestAFileThatChangesWhileItIsReadIsAnError changes the file when the first
// bytes of it have been read.
func TestAFileThatChangesWhileItIsReadIsAnError(t *testing.T) {
	const size = 40 * codec.MinChunkSize
	for name, change := range map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				_, err = f.Write([]byte("more"))
				f.Close()
			}
			return err
		},
		"shrinks":    func(path string) error { return os.Truncate(path, codec.MinChunkSize) },
		"is written": func(path string) error { return os.WriteFile(path, pattern(size, 9), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			path := w.file("file", pattern(size, 1))
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
			changed := false
			res, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize, OnProgress: func(publisher.Progress) {
				if !changed {
					changed = true
					if err := change(path); err != nil {
						t.Error(err)
					}
				}
			}})
			if !errors.Is(err, publisher.ErrChanged) || !strings.Contains(err.Error(), path) || len(res.Entries) != 0 {
				t.Errorf("%v, %v", res, err)
			}
			if s := w.stats(); s.Pinned != 0 {
				t.Errorf("%d blobs of it are pinned", s.Pinned)
			}
		})
	}
}

func TestAFileThatDoesNotFitTheStoreIsNotReportedDone(t *testing.T) {
	w := newWorld(t, 5*codec.MinChunkSize)
	path := w.file("file", pattern(10*codec.MinChunkSize, 1))
	_, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize})
	if !errors.Is(err, blobnet.ErrFull) {
		t.Errorf("%v", err)
	}
	if s := w.stats(); s.Pinned != 0 {
		t.Errorf("%d blobs of it are pinned", s.Pinned)
	}
}

func TestIngestEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 0)
	path := w.file("file", pattern(40*codec.MinChunkSize, 1))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.Ingest(ctx, publisher.IngestSpec{Path: path, ChunkSize: codec.MinChunkSize, OnProgress: func(publisher.Progress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
