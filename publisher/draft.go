package publisher

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
)

// DraftSpec is a manifest.json and what its words refer to.
type DraftSpec struct {
	Draft     channel.Draft
	Dir       string     // that local paths in it are relative to; usually the folder of manifest.json
	Channel   channel.ID // whose view removals must be in; zero for one that is not founded yet
	ChunkSize int        // bytes; if zero, codec.DefaultChunkSize

	OnProgress func(Progress) // see IngestSpec
}

// FromDraft makes a release of a draft: local paths are ingested, without pins,
// and files that were ingested before are checked to be in the store, else
// ErrMissing. A local path that is a folder gives all of its files, below the
// draft's name for it if it has one. What is wrong with the draft itself is
// found before anything is read. The caller fills in Channel and Key.
func (p *Publisher) FromDraft(ctx context.Context, spec DraftSpec) (Release, error) {
	d := spec.Draft
	r := Release{Title: d.Title, Description: d.Description, Metadata: d.Metadata, Remove: d.Remove}
	if err := d.Validate(); err != nil {
		return Release{}, fmt.Errorf("reading the manifest: %w", err)
	}
	if err := p.removable(ctx, spec.Channel, d.Remove); err != nil {
		return Release{}, err
	}
	var pl plan
	defer pl.close()
	for _, e := range d.Entries {
		if e.Entry != nil {
			r.Entries = append(r.Entries, *e.Entry)
			continue
		}
		path := e.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.Dir, filepath.FromSlash(path))
		}
		if _, err := pl.add(ctx, path, e.Name, e.Attrs); err != nil {
			return Release{}, fmt.Errorf("entry with the path %q: %w", e.Path, err)
		}
	}
	if err := p.present(ctx, r.Entries); err != nil {
		return Release{}, err
	}
	if len(pl.sources) > 0 {
		entries, err := p.ingest(ctx, &pl, spec.ChunkSize, spec.OnProgress)
		if err == nil {
			err = evicted(p.present(ctx, entries))
		}
		if err != nil {
			return Release{}, fmt.Errorf("ingesting: %w", err)
		}
		r.Entries = append(r.Entries, entries...)
	}
	slices.SortFunc(r.Entries, func(a, b channel.FileEntry) int { return strings.Compare(a.Name, b.Name) })
	body := r.body()
	if err := body.Validate(); err != nil {
		return Release{}, fmt.Errorf("release: %w", err)
	}
	return r, nil
}
