package subscriber

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// Place makes an output folder the store of what is in it: chunks are served
// out of the files that they are written to, and no blob of them is kept.
// *inplace.Sieve is one, which has to be the store of the Swarm as well. Its
// methods may be called from many goroutines at once. Paths are absolute.
//
// As a Source it has what this node has. Begin begins to register a file, perhaps
// one that was just made. Forget ends it for one that is deleted.
// Registered says whether one is known as it is, Claimed whether the blob id lies
// in it as far as is known, and Fresh whether none was when
// the program began. From Expect to Arrived the blob
// id is about to be written to a file, and the Swarm's store keeps no copy.
type Place interface {
	blobnet.Source
	Begin(ctx context.Context, path string, made bool) (*inplace.File, error)
	Forget(ctx context.Context, path string) error
	Registered(ctx context.Context, path string) (bool, error)
	Claimed(ctx context.Context, path string, id blobnet.ID) (bool, error)
	Fresh() bool
	Expect(id blobnet.ID)
	Arrived(id blobnet.ID)
}

// sieveOf is the Place that is told what is about to come, so that it is not
// stored: none where blobs are kept.
func sieveOf(p Place, keep bool) Place {
	if keep {
		return nil
	}
	return p
}

// absolute is the path of a file in o as a Place knows it; empty if it has none.
func (o *output) absolute(local string) string {
	path, err := filepath.Abs(o.full(local))
	if err != nil {
		return ""
	}
	return path
}

// forget lets p forget a file of o that is deleted. What p cannot do now it
// finds out when somebody asks for the file's blobs.
func (o *output) forget(ctx context.Context, p Place, local string) {
	if path := o.absolute(local); p != nil && path != "" {
		_ = p.Forget(context.WithoutCancel(ctx), path)
	}
}

// indexes notes which blobs a walk through a file's tree asks for: those of its
// index.
type indexes struct {
	src blobnet.Source

	mu  sync.Mutex // guards ids
	ids []blobnet.ID
}

func (x *indexes) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	blob, err := x.src.Get(ctx, id, dst)
	if err == nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.ids = append(x.ids, id)
	}
	return blob, err
}

// reclaim registers a file that is in place already, unless all of this entry is
// known: another program brought it, what was known is lost, or it was
// registered for another entry of the same content. Index blobs that are not
// here are had from swarm, for a few seconds at most; without them, or without a
// swarm, the file stays unknown.
func reclaim(ctx context.Context, p Place, swarm *fetch.Swarm, e channel.FileEntry, path string) error {
	if p == nil || path == "" {
		return nil
	}
	known, err := p.Registered(ctx, path)
	if err != nil || known && swarm == nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, reclaimTimeout)
	defer cancel()
	from := &missing{Place: p, swarm: swarm}
	src := &indexes{src: from}
	var chunks []codec.Chunk // in memory, so that nothing is registered by halves
	for chunk, err := range codec.Chunks(limited, src, e.File()) {
		if err != nil || len(chunks) == maxReclaimed {
			return ctx.Err() // there is no need for it
		}
		if known {
			if known, err = p.Claimed(ctx, path, chunk.Ref.ID); err != nil {
				return err
			}
		}
		chunks = append(chunks, chunk)
	}
	if known && !from.fetched {
		return nil
	}
	file, err := p.Begin(ctx, path, false)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		file.Add(ctx, c.Ref, c.Offset, nil)
	}
	file.Hold(src.ids...)
	return file.Done(ctx, path, false)
}

// reclaimer reclaims the files of one run, and looks for no index any more once
// one was not soon to be had: there may be many.
type reclaimer struct {
	place Place
	swarm *fetch.Swarm
}

func (r *reclaimer) reclaim(ctx context.Context, e channel.FileEntry, path string) error {
	begun := time.Now()
	err := reclaim(ctx, r.place, r.swarm, e, path)
	if time.Since(begun) >= lossPatience {
		r.swarm = nil
	}
	return err
}

// reclaimTimeout is how long is looked for the index of a file that is there.
const reclaimTimeout = 10 * time.Second

// missing gets what a Place lacks from a swarm, whose store keeps it.
type missing struct {
	Place
	swarm   *fetch.Swarm // may be nil
	fetched bool
}

func (m *missing) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	blob, err := m.Place.Get(ctx, id, dst)
	if m.swarm == nil || !errors.Is(err, blobnet.ErrNotFound) {
		return blob, err
	}
	m.fetched = true
	return m.swarm.Fetch(ctx, fetch.Want{ID: id, Class: blobnet.Foreground, Patience: lossPatience}, dst)
}

// reclaimAll registers what earlier runs brought, if what was known of it is
// lost. The files are not read: what they hold is looked at when it is asked for.
func (f *follower) reclaimAll(ctx context.Context) error {
	place := f.cfg.Place
	if place == nil || !place.Fresh() {
		return nil
	}
	cursor, err := f.cfg.Ledger.Cursor(ctx, f.order.Subscription, f.order.Channel)
	for after := int64(0); err == nil && after < cursor; {
		var releases []catalog.Release
		if releases, err = f.cfg.Ledger.Releases(ctx, f.order.Channel, after, releasePage); len(releases) == 0 {
			break
		}
		for _, r := range releases {
			if after = r.Position; after > cursor || r.Body == nil {
				continue
			}
			for _, e := range r.Body.Entries {
				if err := f.reclaimOne(ctx, r, e); err != nil {
					return err
				}
			}
		}
	}
	return err
}

func (f *follower) reclaimOne(ctx context.Context, r catalog.Release, e channel.FileEntry) error {
	view, err := f.cfg.Ledger.Entry(ctx, r.Channel, e.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (view.Removed || view.Position != r.Position) {
		return nil
	}
	if err != nil {
		return err
	}
	local, err := filepath.Localize(e.Name)
	if err != nil {
		return nil // this system cannot have it
	}
	path, err := filepath.Abs(filepath.Join(f.order.Output, local))
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || uint64(info.Size()) != e.Size {
		return nil
	}
	return reclaim(ctx, f.cfg.Place, nil, e, path)
}

// maxReclaimed is how many chunks a file may have that is registered although
// it was not fetched: 1 TiB in chunks of 1 MiB.
const maxReclaimed = 1 << 20
