package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/erasure"
	"github.com/anonymous-media-library/aml/codec/stream"
	"github.com/anonymous-media-library/aml/internal/outfile"
)

// play writes a file to a pipe or device in order, some seconds ahead of whoever
// reads there: who stops reading stops the fetching too. What came is kept in
// the store. What was written is the file only if there is no error: its hash is
// known at the end alone, though every part was authenticated before.
func (n *Node) play(ctx context.Context, req FetchRequest, e channel.FileEntry) (FetchResult, error) {
	swarm, err := n.newSwarm(n.blobs, time.Duration(req.Timeout), e.Size)
	if err != nil {
		return FetchResult{}, err
	}
	key := tracker.Key(e.Root.ID)
	defer n.net.gather(ctx, swarm, nil, key)()
	if err := n.net.keys.add(ctx, key); err != nil {
		return FetchResult{}, fmt.Errorf("announcing: %w", err)
	}
	defer n.net.keys.remove(key)
	rebuild, err := erasure.NewSource(erasure.Config{Source: swarm, File: e.File()})
	if err != nil {
		return FetchResult{}, err
	}
	r, err := stream.Open(ctx, stream.Config{Source: swarm, Rebuild: rebuild}, e.File())
	if err != nil {
		return FetchResult{}, err
	}
	out, err := outfile.Open(ctx, req.Output, os.O_WRONLY)
	if err != nil {
		return FetchResult{}, errors.Join(fmt.Errorf("writing %s: %w", req.Output, err), r.Close())
	}
	stop := context.AfterFunc(ctx, func() { out.Close() }) // whoever reads may have stopped
	defer stop()
	_, err = io.Copy(out, r)
	err = errors.Join(err, r.Close())
	if closeErr := out.Close(); err == nil && ctx.Err() == nil {
		err = closeErr
	}
	if ctx.Err() != nil {
		return FetchResult{}, context.Cause(ctx)
	}
	if err != nil {
		return FetchResult{}, fmt.Errorf("file %q: %w", e.Name, err)
	}
	return FetchResult{Files: []FetchedFile{{Name: e.Name, Path: req.Output, Size: e.Size, SHA256: e.SHA256.String()}}}, nil
}
