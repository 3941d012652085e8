package subscriber

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// Fetched is a file that is complete, verified and in its place.
type Fetched struct {
	Name      string // of the entry
	Path      string
	Size      uint64 // bytes
	SHA256    codec.Hash
	FromStore uint64 // bytes that this node had, as blobs or as the very file
	FromPeers uint64 // bytes that peers sent
}

// Download says how files are fetched.
type Download struct {
	// Swarm is where blobs are had.
	Swarm *fetch.Swarm
	// Place makes the files the store of what is in them. If nil, the Swarm's
	// store keeps every chunk beside.
	Place Place
	// KeepBlobs keeps every chunk in the Swarm's store, too, in spite of Place:
	// that should be a *inplace.Keeper then.
	KeepBlobs bool
	// OnProgress may be nil. It is called by one goroutine at a time, at most ten
	// times a second and once at the end, and must be quick.
	OnProgress func(Progress)
}

// File fetches one file and gives it the path out, whose folder must
// exist. What is there already is replaced once the new file is complete; if
// it is the very file, nothing is fetched. What an earlier run for the same
// file and path could not finish is not fetched again, however it ended and
// whoever gave it, nor are blobs that the swarm's store has.
//
// The error says whether the entry is at fault (codec.ErrHash, ErrSealed,
// ErrPadding, ErrIndex), nobody has a blob (blobnet.ErrNotFound), or the disk
// (fs.ErrPermission and the like); then nothing is at out that was not there
// before, and what came waits in a hidden folder beside it for the next run.
func (d Download) File(ctx context.Context, entry channel.FileEntry, out string) (Fetched, error) {
	dir, name := filepath.Split(filepath.Clean(out))
	if dir == "" {
		dir = "."
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%w: %s is no folder", ErrConflict, dir)
		}
		return Fetched{}, fmt.Errorf("fetching to %s: %w", out, err)
	}
	files, err := d.run(ctx, filepath.Clean(dir), []channel.FileEntry{entry}, func(channel.FileEntry) string { return filepath.ToSlash(name) })
	if err != nil {
		return Fetched{}, fmt.Errorf("fetching to %s: %w", out, err)
	}
	return files[0], nil
}

// Folder fetches files and gives each its entry's name below dir, which
// is made if missing. It fetches all that can be had and then returns the files
// that are in place, with an error for each that is not; see File. What an
// earlier run left unfinished counts if that was for the same names.
func (d Download) Folder(ctx context.Context, entries []channel.FileEntry, dir string) ([]Fetched, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("fetching to %s: %w", dir, err)
	}
	files, err := d.run(ctx, dir, entries, func(e channel.FileEntry) string { return e.Name })
	if err != nil {
		return files, fmt.Errorf("fetching to %s: %w", dir, err)
	}
	return files, nil
}

func (d Download) run(ctx context.Context, dir string, entries []channel.FileEntry, nameOf func(channel.FileEntry) string) ([]Fetched, error) {
	seen := map[string]bool{}
	count := &meter{report: d.OnProgress}
	tag := "download"
	for _, e := range entries {
		if err := e.Validate(); err != nil {
			return nil, fmt.Errorf("entry %q: %w", e.Name, err)
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("%w: two entries called %q", channel.ErrName, e.Name)
		}
		seen[e.Name] = true
		count.total += e.Size
		tag += "\x00" + nameOf(e)
	}
	out, err := openOutput(dir, tag)
	if err != nil {
		return nil, err
	}
	defer out.close()

	again := reclaimer{d.Place, d.Swarm}
	found := make([]*Fetched, len(entries))
	errs := make([]error, len(entries))
	a := assembly{swarm: d.Swarm, place: sieveOf(d.Place, d.KeepBlobs), keep: d.Place == nil || d.KeepBlobs, onBytes: func(t *target, n int, local bool) { count.add(t.entry.Name, uint64(n), local) }}
	for i, e := range entries {
		f := &Fetched{Name: e.Name, Size: e.Size, SHA256: e.SHA256}
		local, there, err := d.there(ctx, out, nameOf(e), e)
		switch {
		case errors.Is(err, ErrConflict):
			errs[i] = err
			continue
		case err != nil:
			return nil, err
		case there:
			if err := again.reclaim(ctx, e, out.absolute(local)); err != nil {
				return nil, err
			}
			f.Path, f.FromStore = out.full(local), e.Size
			found[i] = f
			count.add(e.Name, e.Size, true)
			continue
		}
		a.targets = append(a.targets, &target{entry: e, name: nameOf(e), out: out, place: d.Place, onEnd: func(t *target) {
			if errs[i] = t.err; t.err == nil {
				f.Path, f.FromStore, f.FromPeers = out.full(t.local), t.fromStore.Load(), t.fromPeers.Load()
				found[i] = f
			}
		}, order: inorder{size: e.Size}})
	}
	if err := out.prune(ctx, d.Place, a.targets); err != nil {
		return nil, err
	}
	err = a.run(ctx)
	if err == nil {
		err = out.sync()
	}
	var files []Fetched
	for i, f := range found {
		if f != nil {
			files = append(files, *f)
		}
		if errs[i] != nil && !errors.Is(err, errs[i]) {
			err = errors.Join(err, errs[i])
		}
	}
	if len(entries) > 0 {
		count.end(entries[len(entries)-1].Name)
	}
	return files, err
}

// there reports whether the file is in place already.
func (d Download) there(ctx context.Context, out *output, name string, e channel.FileEntry) (local string, there bool, err error) {
	local, info, err := out.inspect(name)
	if err != nil || info == nil {
		return local, false, err
	}
	there, err = out.isOne(ctx, local, info, version{e.Size, e.SHA256})
	return local, there, err
}
