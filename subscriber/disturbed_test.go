package subscriber_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/subscriber"
)

// Whatever is done to the unfinished file while it is fetched: what the fetch
// calls complete is the file at its path, and nobody else's file is touched.
func TestAFetchIsNotCompleteIfItsFileWasTamperedWith(t *testing.T) {
	const chunks = 200
	content := pattern(chunks*codec.MinChunkSize, 1)
	for name, tamper := range map[string]func(t *testing.T, dir, part string){
		"a copy in its place": func(t *testing.T, dir, part string) {
			data, err := os.ReadFile(part)
			if err == nil {
				err = errors.Join(os.WriteFile(part+"z", data, 0o600), os.Rename(part+"z", part))
			}
			if err != nil {
				t.Error(err)
			}
		},
		"a link in its place": func(t *testing.T, dir, part string) {
			if err := errors.Join(os.Remove(part), os.Symlink("../../other", part)); err != nil {
				t.Error(err)
			}
		},
		"another file's name in its place": func(t *testing.T, dir, part string) {
			if err := errors.Join(os.Remove(part), os.Link(filepath.Join(dir, "other"), part)); err != nil {
				t.Error(err)
			}
		},
		"gone": func(t *testing.T, dir, part string) {
			if err := os.Remove(part); err != nil {
				t.Error(err)
			}
		},
		"its folder gone": func(t *testing.T, dir, part string) {
			if err := os.RemoveAll(filepath.Dir(part)); err != nil {
				t.Error(err)
			}
		},
		"cut to nothing": func(t *testing.T, dir, part string) {
			if err := os.Truncate(part, 0); err != nil {
				t.Error(err)
			}
		},
		"longer": func(t *testing.T, dir, part string) {
			if err := os.Truncate(part, int64(len(content)+1)); err != nil {
				t.Error(err)
			}
		},
		"the output folder moved": func(t *testing.T, dir, part string) {
			if err := errors.Join(os.Rename(dir, dir+"-moved"), os.Mkdir(dir, 0o755)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			place := placed(t, w)
			e := w.ingest(files{"f": content})[0]
			e.Modified = channel.TimeOf(time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC))
			dir := filepath.Join(t.TempDir(), "out")
			other := filepath.Join(dir, "other")
			if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(other, []byte("other"), 0o600)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(other)
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int64
			w.peer.onGet = func(blobnet.ID) error {
				if asked.Add(1) != chunks-5 {
					return nil
				}
				parts, err := filepath.Glob(filepath.Join(dir, channel.PartialFolder, "*", "*.part"))
				if err != nil || len(parts) != 1 {
					t.Error(parts, err)
					return nil
				}
				tamper(t, dir, parts[0])
				return nil
			}
			if w.swarm, err = fetch.New(fetch.Config{Store: place, MaxOutstanding: 1 << 20}); err != nil {
				t.Fatal(err)
			}
			w.swarm.Add(w.peer)
			d := subscriber.Download{Swarm: w.swarm, Place: place}
			out := filepath.Join(dir, "f")
			_, err = d.File(t.Context(), e, out)
			if !errors.Is(err, subscriber.ErrDisturbed) || !strings.Contains(err.Error(), out) {
				t.Errorf("%v", err)
			}
			if _, err := os.Lstat(out); err == nil {
				t.Error("there is something at its path")
			}
			moved := strings.HasSuffix(name, "moved")
			if after, err := os.Stat(other); !moved && (err != nil || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size()) {
				t.Errorf("the other file was touched: %v", err)
			}
			if _, err := d.File(t.Context(), e, out); err != nil {
				t.Errorf("once more: %v", err)
			}
			want := files{"f": content, "other": "other"}
			if moved {
				delete(want, "other")
			}
			wantTree(t, dir, want)
			if !whole(t, place, e, content) {
				t.Error("it is not served")
			}
		})
	}
}
