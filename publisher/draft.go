package publisher

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// DraftSpec is a manifest.json, or what stands for one, and what its words
// refer to.
type DraftSpec struct {
	Draft     channel.Draft
	Dir       string             // that local paths in it are relative to; usually the folder of manifest.json
	Channel   channel.ID         // that it is for; zero for one that is not founded yet
	Key       channel.PrivateKey // that will publish it
	Into      string             // a valid name that those of local files are put below; if empty, they are as they are
	ChunkSize int                // bytes; if zero, codec.DefaultChunkSize

	Erasure    codec.Eraser   // see IngestSpec
	InPlace    bool           // see IngestSpec
	OnProgress func(Progress) // see IngestSpec
}

// FromDraft makes a release of a draft: local paths are ingested, without pins,
// which Publish sets; files that were ingested before are checked to be in the
// store, else ErrMissing. A local path that is a folder gives all of its files,
// below the draft's name for it if it has one.
//
// Everything that Publish would refuse and that can be known without reading a
// file is found before anything is sealed: see Publish for the errors. A draft
// for a channel that is not founded yet is checked as far as there is anything
// to check it against, so that a channel need not be founded for a release
// that cannot be; the caller then fills in Channel.
func (p *Publisher) FromDraft(ctx context.Context, spec DraftSpec) (Release, error) {
	d := spec.Draft
	if err := d.Validate(); err != nil {
		return Release{}, fmt.Errorf("reading the manifest: %w", err)
	}
	if n := len(d.Entries); n > channel.MaxEntries {
		return Release{}, fmt.Errorf("release: %w: %d entries, at most %d are allowed in one release; %s", channel.ErrLimit, n, channel.MaxEntries, severally)
	}
	r := Release{Channel: spec.Channel, Key: spec.Key, Title: d.Title, Description: d.Description, Metadata: d.Metadata, Remove: d.Remove}
	if spec.InPlace && p.cfg.InPlace == nil {
		return Release{}, fmt.Errorf("ingesting: %w", errNoInPlace)
	}
	pl := plan{most: channel.MaxEntries, inPlace: spec.InPlace, into: spec.Into}
	defer pl.close()
	var given []channel.FileEntry
	for _, e := range d.Entries {
		if e.Entry != nil {
			given = append(given, *e.Entry)
			continue
		}
		path := e.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.Dir, filepath.FromSlash(path))
		}
		before := len(pl.sources)
		if _, err := pl.add(ctx, path, e.Name, e.Attrs); err != nil {
			return Release{}, fmt.Errorf("ingesting: %w", err)
		}
		for i := range pl.sources[before:] {
			pl.sources[before+i].media = e.MediaType
		}
	}
	foreseen, err := pl.settle()
	if err != nil {
		return Release{}, fmt.Errorf("ingesting: %w", err)
	}
	r.Entries = append(foreseen, given...)
	if err := p.foresee(ctx, r); err != nil {
		return Release{}, err
	}
	if err := p.present(ctx, given); err != nil {
		return Release{}, err
	}
	if len(pl.sources) > 0 {
		entries, err := p.ingest(ctx, &pl, codec.Config{ChunkSize: spec.ChunkSize, Erasure: spec.Erasure}, spec.OnProgress)
		if err == nil {
			err = evicted(p.present(ctx, entries))
		}
		if err != nil {
			return Release{}, fmt.Errorf("ingesting: %w", err)
		}
		given = append(given, entries...)
	}
	r.Entries = given
	body := r.body()
	r.Entries = body.Entries // in their order
	return r, valid(body)
}

// foresee refuses a release that Publish would refuse whatever is in its blobs.
func (p *Publisher) foresee(ctx context.Context, r Release) error {
	body := r.body()
	if err := valid(body); err != nil {
		return err
	}
	if r.Channel.IsZero() {
		return p.removable(ctx, r.Channel, r.Remove)
	}
	_, _, _, err := p.admit(ctx, r, body)
	return err
}
