package podcast

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dhowden/tag"
)

// restTime is how long a file has to have been left alone: one that is still being
// written comes with a later poll.
const restTime = 5 * time.Second

// folder reads a folder of audio files. No things and no error: it is as it was.
func (p *podcast) folder(ctx context.Context, from string, cursor []byte) ([]thing, []byte, error) {
	var list strings.Builder
	var paths []string
	fresh := false
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if path != from && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !playable(mediaOf(d.Name())) && !sidecar(d.Name()) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if p.now().Sub(info.ModTime()) < restTime {
			fresh = true
			return nil
		}
		fmt.Fprintf(&list, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		if !sidecar(d.Name()) {
			if paths = append(paths, path); len(paths) > maxItems {
				return fmt.Errorf("more than %d files", maxItems)
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; grant the capability files, with --path %s or for all", err, from)
	}
	if err != nil {
		return nil, nil, err
	}
	sum := hash(list.String(), 64)
	if sum == string(cursor) {
		return nil, nil, nil
	}
	if len(paths) == 0 {
		if fresh {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("there is no audio file in %s; is it mounted?", from) // and not: all are gone
	}
	seen := p.remember(from)
	var out []thing
	for _, path := range paths {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		t, err := local(from, path, seen)
		if err != nil {
			log.Printf("left out: %v", err)
			continue
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b thing) int { return a.date.Compare(b.date) })
	return out, []byte(sum), nil
}

func sidecar(name string) bool { return strings.HasSuffix(name, ".chapters.json") }

// local is the episode that a file is.
func local(from, path string, seen *seen) (thing, error) {
	info, err := os.Stat(path)
	if err != nil {
		return thing{}, err
	}
	rel, err := filepath.Rel(from, path)
	if err != nil {
		return thing{}, err
	}
	rel = filepath.ToSlash(rel)
	t := thing{id: "file:" + rel, title: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), date: info.ModTime().Truncate(time.Second), meta: map[string]string{}}
	set := setter(t.meta)
	set(metaGUID, t.id)
	f, err := os.Open(path)
	if err != nil {
		return thing{}, err
	}
	defer f.Close()
	tags := readTags(f)
	if tags != nil {
		t.title = cmp.Or(strings.TrimSpace(tags.Title()), t.title)
		t.description = strings.TrimSpace(tags.Comment())
		set("author", tags.Artist())
		set("album", tags.Album())
		if n, _ := tags.Track(); n > 0 {
			set("episode", strconv.Itoa(n))
		}
		if n, _ := tags.Disc(); n > 0 {
			set("season", strconv.Itoa(n))
		}
	}
	if d := duration(f, info.Size()); d > 0 {
		set(metaDuration, strconv.Itoa(int(d.Round(time.Second).Seconds())))
	}
	set(metaDate, t.date.UTC().Format(time.RFC3339))
	stamp := fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	base := seen.base(t.id, t.title, t.date)
	t.files = []file{{
		name: base + strings.ToLower(filepath.Ext(path)), handle: handle{From: from, File: path, Stamp: stamp}, attrs: map[string]string{attrRole: roleEnclosure},
	}}
	if tags != nil && tags.Picture() != nil && len(tags.Picture().Data) > 0 {
		ext := end("", tags.Picture().MIMEType, ".jpg")
		t.files = append(t.files, file{name: base + ext, optional: true, handle: handle{From: from, File: path, Stamp: stamp, Picture: true}, attrs: map[string]string{attrRole: roleArtwork}})
	}
	chapters := strings.TrimSuffix(path, filepath.Ext(path)) + ".chapters.json"
	if c, err := os.Stat(chapters); err == nil && c.Mode().IsRegular() {
		t.files = append(t.files, file{
			name: base + ".chapters.json", optional: true, attrs: map[string]string{attrRole: roleChapters},
			handle: handle{From: from, File: chapters, Stamp: fmt.Sprintf("%d %d", c.Size(), c.ModTime().UnixNano())},
		})
	}
	return t, nil
}

// readTags reads the tags of a file; nil: it has none that can be read.
func readTags(f *os.File) (m tag.Metadata) {
	defer func() {
		if r := recover(); r != nil {
			m = nil
		}
	}()
	m, err := tag.ReadFrom(f)
	if err != nil {
		return nil
	}
	return m
}

// openLocal opens a file of a folder, unless it was changed since.
func openLocal(h handle, offset int64) (io.ReadCloser, error) {
	if rel, err := filepath.Rel(h.From, h.File); err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s is not in %s", h.File, h.From)
	}
	f, err := os.Open(h.File)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano()) != h.Stamp {
		err = fmt.Errorf("%s was changed meanwhile", h.File)
	}
	if err == nil && h.Picture {
		var data []byte
		if m := readTags(f); m != nil && m.Picture() != nil {
			data = m.Picture().Data
		}
		if err = f.Close(); err == nil && offset > int64(len(data)) {
			err = errors.New("beyond its end")
		}
		if err != nil {
			return nil, err
		}
		return io.NopCloser(strings.NewReader(string(data[offset:]))), nil
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
