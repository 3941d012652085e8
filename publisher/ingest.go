package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// IngestSpec says what to seal into the store.
type IngestSpec struct {
	Path      string            // a file or folder
	Name      string            // of a file, or the prefix of a folder's names; if empty, a file's own or none
	Attrs     map[string]string // of each entry
	ChunkSize int               // bytes; if zero, codec.DefaultChunkSize

	// Erasure computes parity blobs beside each file's; if nil, there are none.
	Erasure codec.Eraser

	// InPlace leaves the chunks in their files, which must stay where and what
	// they are: only what opens them is stored. It wants Config.InPlace.
	InPlace bool

	// OnProgress, if not nil, is told how far it is, by one goroutine at a
	// time, at most ten times a second and once at the end. It must be quick.
	OnProgress func(Progress)
}

// Ingested is what came of it.
type Ingested struct {
	Folder  bool // Path is a folder
	Entries []channel.FileEntry
}

// Ingest seals a file, or all files of a folder, into the store, and returns
// their entries sorted by name. When it returns nil every blob is in the store,
// pinned once, and survives a power loss. What can be known to be wrong without
// reading a file is found before anything is sealed.
//
// On an error there is no result: blobs that were put by then are not pinned
// and fall to eviction, since nobody has their keys. A file that changes while
// it is read gives ErrChanged, a store that cannot hold all of it
// blobnet.ErrFull. Every error names the file. What of a folder is taken is
// documented at walk.go's plan.add.
func (p *Publisher) Ingest(ctx context.Context, spec IngestSpec) (Ingested, error) {
	pl := plan{inPlace: spec.InPlace}
	defer pl.close()
	if spec.InPlace && p.cfg.InPlace == nil {
		return Ingested{}, fmt.Errorf("ingesting: %w", errNoInPlace)
	}
	folder, err := pl.add(ctx, spec.Path, spec.Name, spec.Attrs)
	if err != nil {
		return Ingested{}, fmt.Errorf("ingesting: %w", err)
	}
	if _, err := pl.settle(); err != nil {
		return Ingested{}, fmt.Errorf("ingesting: %w", err)
	}
	entries, err := p.ingest(ctx, &pl, codec.Config{ChunkSize: spec.ChunkSize, Erasure: spec.Erasure}, spec.OnProgress)
	if err == nil {
		err = evicted(p.keep(ctx, entries))
	}
	if err != nil {
		return Ingested{}, fmt.Errorf("ingesting: %w", err)
	}
	return Ingested{Folder: folder, Entries: entries}, nil
}

// keep pins and syncs what was just ingested.
func (p *Publisher) keep(ctx context.Context, entries []channel.FileEntry) error {
	held := p.hold()
	err := held.files(ctx, entries)
	if err == nil {
		err = p.sync(ctx)
	}
	if err != nil {
		held.drop(ctx)
	}
	return err
}

// evicted explains why a blob that was put a moment ago is not there: the store
// made room for the last ones by dropping the first.
func evicted(err error) error {
	if errors.Is(err, ErrMissing) {
		return fmt.Errorf("%w: it cannot hold all of this at once; raise the quota", blobnet.ErrFull)
	}
	return err
}

// smallWorkers is how many files of at most one chunk are sealed at once. They
// are bound by file system calls, so there may be more than cores.
func smallWorkers() int { return min(max(4, 2*runtime.GOMAXPROCS(0)), 16) }

// ingest seals what the settled plan names. Files of one chunk are sealed side by side;
// a longer one uses all cores by itself, so that those go one after another.
func (p *Publisher) ingest(ctx context.Context, pl *plan, cfg codec.Config, report func(Progress)) ([]channel.FileEntry, error) {
	if cfg.ChunkSize == 0 {
		cfg.ChunkSize = codec.DefaultChunkSize
	}
	entries := make([]channel.FileEntry, len(pl.sources))
	count := &meter{report: report, now: p.cfg.Now, total: pl.total}
	seal := func(ctx context.Context, i int) (err error) {
		entries[i], err = p.seal(ctx, pl.sources[i], cfg, pl.inPlace, count)
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	small := make(chan int)
	for range smallWorkers() {
		group.Go(func() error {
			for i := range small {
				if err := seal(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(small)
		for i, s := range pl.sources {
			if s.same >= 0 || s.info.Size() > int64(cfg.ChunkSize) {
				continue
			}
			select {
			case small <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for i, s := range pl.sources {
			if s.same >= 0 || s.info.Size() <= int64(cfg.ChunkSize) {
				continue
			}
			if err := seal(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, s := range pl.sources {
		if s.same >= 0 {
			entries[i] = linked(s, entries[s.same])
		}
		if err := entries[i].Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	count.end(pl.sources[len(pl.sources)-1].name)
	return entries, nil
}

// seal makes the entry of one file.
func (p *Publisher) seal(ctx context.Context, s source, cfg codec.Config, inPlace bool, count *meter) (_ channel.FileEntry, err error) {
	f, err := s.open(count)
	if err != nil {
		return channel.FileEntry{}, err // names the path
	}
	defer f.close()
	stop := context.AfterFunc(ctx, f.close) // ends a read that hangs
	defer stop()
	dst, settle := codec.Putter(p.cfg.Blobs), func(err error) error { return err }
	if inPlace {
		if dst, settle, err = p.leave(ctx, s.path); err != nil {
			return channel.FileEntry{}, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	file, err := codec.Encode(ctx, f, dst, cfg)
	if err == nil {
		err = f.check(file.Size)
	}
	err = settle(err)
	if ctx.Err() != nil {
		return channel.FileEntry{}, ctx.Err() // a closed file says nothing
	}
	if err != nil {
		return channel.FileEntry{}, fmt.Errorf("%s: %w", s.path, err)
	}
	e := s.entry()
	e.Size, e.SHA256, e.Depth, e.Root, e.MediaType = file.Size, file.SHA256, file.Depth, file.Root, cmp.Or(s.media, mediaType(s.name, f.head))
	return e, nil
}

// linked is the entry of a symbolic link: the content of target, with a name
// of its own.
func linked(s source, target channel.FileEntry) channel.FileEntry {
	e := target
	e.Name, e.Attrs = s.name, maps.Clone(s.attrs)
	if t := typeByName(s.name); t != "" {
		e.MediaType = t
	}
	return e
}

// sync makes all that was put survive a power loss, where the store can.
func (p *Publisher) sync(ctx context.Context) error {
	if s, ok := p.cfg.Blobs.(blobnet.Syncer); ok {
		if err := s.Sync(ctx); err != nil {
			return fmt.Errorf("syncing the blob store: %w", err)
		}
	}
	return nil
}
