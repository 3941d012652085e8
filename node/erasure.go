package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

// parseErasure reads DATA+PARITY; nil for the empty text.
func parseErasure(s string) (codec.Eraser, error) {
	if s == "" {
		return nil, nil
	}
	coding, err := erasure.Parse(s)
	if err != nil {
		return nil, badRequest("--erasure: %w", err)
	}
	code, err := erasure.New(coding)
	if err != nil {
		return nil, badRequest("--erasure: %w", err)
	}
	return code, nil
}

// makeWhole gets or rebuilds the blobs of a file that the store has not, and
// returns how many those were: from peers first, by their parity then.
func (n *Node) makeWhole(ctx context.Context, e channel.FileEntry) (repaired int, err error) {
	swarm, err := n.newSwarm(n.blobs, repairPatience)
	if err != nil {
		return 0, err
	}
	defer n.net.gather(ctx, swarm, n.net.connected, tracker.Key(e.Root.ID))()
	missing, err := n.fetchMissing(ctx, swarm, e, &repaired)
	if err != nil || missing == nil {
		return repaired, err
	}
	done, err := erasure.Repair(ctx, erasure.RepairConfig{Store: n.blobs, File: e.File()})
	repaired += done.Rebuilt
	switch {
	case errors.Is(err, erasure.ErrNotCoded):
		return repaired, missing
	case err != nil:
		return repaired, err
	}
	return repaired, errors.Join(done.Failed...)
}

// fetchMissing gets those blobs of a file that somebody has. What nobody has is
// returned as missing.
func (n *Node) fetchMissing(ctx context.Context, swarm *fetch.Swarm, e channel.FileEntry, got *int) (missing, err error) {
	for id, err := range codec.Blobs(ctx, swarm, e.File()) {
		var nobody *fetch.NotFoundError
		if errors.As(err, &nobody) {
			return err, nil // an index: there is no telling what is below it
		}
		if err != nil {
			return nil, fmt.Errorf("listing blobs: %w", err)
		}
		has, err := n.blobs.Has(ctx, id)
		if err != nil {
			return nil, err
		}
		if has[0] || missing != nil && ctx.Err() == nil {
			continue // one that nobody has was waited for: parity is quicker
		}
		switch _, err := swarm.Fetch(ctx, fetch.Want{ID: id, Class: blobnet.Repair}, nil); {
		case errors.As(err, &nobody):
			missing = err
		case err != nil:
			return nil, err
		default:
			*got++
		}
	}
	return missing, nil
}
