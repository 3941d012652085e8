package subscriber

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// Place makes an output folder the store of what is in it: chunks are served
// out of the files that they are written to, and no blob of them is kept.
// *inplace.Sieve is one, which has to be the store of the Swarm as well. Its
// methods may be called from many goroutines at once. Paths are absolute.
//
// As a Source it has what this node has. Begin begins to register a file. Forget ends it for one that is deleted.
// Registered says whether one is known as it is. From Expect to Arrived the blob
// id is about to be written to a file, and the Swarm's store keeps no copy.
type Place interface {
	blobnet.Source
	Begin(ctx context.Context, path string) (*inplace.File, error)
	Forget(ctx context.Context, path string) error
	Registered(ctx context.Context, path string) (bool, error)
	Expect(id blobnet.ID)
	Arrived(id blobnet.ID)
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

// reclaim registers a file that is in place already, and has just been read and
// found right, unless it is known: another program brought it, or what was known
// is lost. If its index is not here it stays unknown.
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
	file, err := p.Begin(ctx, path)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		file.Add(ctx, c.Ref, c.Offset, nil)
	}
	file.Hold(src.ids...)
	return file.Done(ctx, path)
}

// maxReclaimed is how many chunks a file may have that is registered although
// it was not fetched: 1 TiB in chunks of 1 MiB.
const maxReclaimed = 1 << 20
