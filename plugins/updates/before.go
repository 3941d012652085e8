package updates

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/wholefile"
	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/updates"
)

// attrSignature is where a build's signature for Sparkle is: 64 bytes in base64.
const attrSignature = "edSignature"

// beforePublish refuses a draft that is no sound next version of what was published by
// this home before. A draft without a version is nobody's business here, unless the
// channel is one for software alone.
func (p *plugin) beforePublish(_ context.Context, id string, d *sdk.Draft) error {
	var files []file
	for _, f := range d.Files {
		files = append(files, file{f.GetName(), f.Size, f.Sha256, f.Attrs})
	}
	next, ok, err := updates.Parse(bodyOf(d.Title, d.Description, d.Metadata, files))
	switch {
	case err != nil:
		return sdk.Denied(err.Error())
	case !ok && p.channels[id] && len(d.Files) > 0:
		return sdk.Denied("this channel is for software: give the release a " + updates.KeyVersion + " in its metadata")
	case !ok:
		return nil
	}
	if p.signed {
		for _, b := range next.Builds {
			if sig, err := base64.StdEncoding.DecodeString(b.Entry.Attrs[attrSignature]); err != nil || len(sig) != 64 {
				return sdk.Denied(fmt.Sprintf("file %q is not signed: its attribute %s has to be 64 bytes in base64", b.Entry.Name, attrSignature))
			}
		}
	}
	return p.memory.admit(id, next)
}

// memory is which versions were let through, by channel: a draft is all that a plugin
// sees of one. One that was let through and not published after all may come again.
type memory struct {
	dir string
	mu  sync.Mutex // held across the file: drafts come one at a time
}

// kept is a version as it is kept.
type kept struct {
	Version string            `json:"version"`
	Track   string            `json:"track"`
	Builds  map[string]string `json:"builds"` // platform by file
	Sums    map[string]string `json:"sums"`   // SHA-256 by file
}

const (
	// maxKept is how many versions of a channel are kept, and maxMemory the bytes of
	// all.
	maxKept   = 1000
	maxMemory = 64 << 20
)

func (m *memory) admit(id string, next updates.Release) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Join(m.dir, "versions.json")
	all := map[string][]kept{}
	text, err := wholefile.Read(path, maxMemory)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading which versions there are: %w", err)
	}
	var before []updates.Release
	for i, k := range all[id] {
		r, err := k.release(int64(i))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		before = append(before, r)
	}
	if err := updates.CheckNext(before, next); err != nil {
		return sdk.Denied(err.Error())
	}
	all[id] = append(all[id], keep(next))
	all[id] = all[id][max(0, len(all[id])-maxKept):]
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	return wholefile.Replace(path, text)
}

func keep(r updates.Release) kept {
	k := kept{Version: r.Version, Track: r.Track, Builds: map[string]string{}, Sums: map[string]string{}}
	for _, b := range r.Builds {
		k.Builds[b.Entry.Name], k.Sums[b.Entry.Name] = b.Platform, b.Entry.SHA256.String()
	}
	return k
}

func (k kept) release(issued int64) (updates.Release, error) {
	r := updates.Release{Version: k.Version, Track: k.Track, Issued: channel.Time(issued)}
	if err := updates.CheckVersion(k.Version); err != nil {
		return r, err
	}
	for name, platform := range k.Builds {
		e := channel.FileEntry{Name: name}
		if err := e.SHA256.UnmarshalText([]byte(k.Sums[name])); err != nil {
			return r, err
		}
		r.Builds = append(r.Builds, updates.Build{Platform: platform, Entry: e})
	}
	return r, nil
}
