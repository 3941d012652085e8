package subscriber

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
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
// Registered says whether one is known as it is, and Fresh whether none was when
// the program began. From Expect to Arrived the blob
// id is about to be written to a file, and the Swarm's store keeps no copy.
type Place interface {
	blobnet.Source
	Begin(ctx context.Context, path string, made bool) (*inplace.File, error)
	Forget(ctx context.Context, path string) error
	Registered(ctx context.Context, path string) (bool, error)
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

// reclaim registers a file that is in place already, unless it is known: another
// program brought it, or what was known is lost. If its index is not here it
// stays unknown.
func reclaim(ctx context.Context, p Place, e channel.FileEntry, path string) error {
	if p == nil || path == "" {
		return nil
	}
	known, err := p.Registered(ctx, path)
	if known || err != nil {
		return err
	}
	var chunks []codec.Chunk // in memory, so that nothing is registered by halves
	src := &indexes{src: p}
	for chunk, err := range codec.Chunks(ctx, src, e.File()) {
		if err != nil || len(chunks) == maxReclaimed {
			return ctx.Err() // there is no need for it
		}
		chunks = append(chunks, chunk)
	}
	file, err := p.Begin(ctx, path, false)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		file.Add(ctx, c.Ref, c.Offset, nil)
	}
	file.Hold(src.ids...)
	return file.Done(ctx, path, true)
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
	return reclaim(ctx, f.cfg.Place, e, path)
}

// maxReclaimed is how many chunks a file may have that is registered although
// it was not fetched: 1 TiB in chunks of 1 MiB.
const maxReclaimed = 1 << 20
