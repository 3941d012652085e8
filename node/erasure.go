package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
	"github.com/anonymous-media-library/aml/internal/seq"
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

// repairAll gets or rebuilds the blobs lost and those that are missing of the
// files entries, and puts them into mend: by the parity that is here, which is
// quickest, then from peers, then by the parity that is here and with peers.
func (n *Node) repairAll(ctx context.Context, mend *mender, lost []blobnet.ID, entries []channel.FileEntry) error {
	for _, e := range entries {
		if _, err := n.rebuild(ctx, mend, e, nil); err != nil {
			return fmt.Errorf("repairing %q: %w", e.Name, err)
		}
	}
	for ids := range slices.Chunk(lost, batch) {
		if _, err := n.refetch(ctx, mend, ids); err != nil && !errors.Is(err, blobnet.ErrNotFound) {
			return err
		}
	}
	for _, e := range entries {
		if err := n.makeWhole(ctx, mend, e); err != nil {
			return fmt.Errorf("repairing %q: %w", e.Name, err)
		}
	}
	return nil
}

// ownEntries returns the files of own channels that list one of the blobs lost.
// All of their blobs ought to be here, so a repair may make them whole without
// being told of them.
func (n *Node) ownEntries(ctx context.Context, lost []blobnet.ID) ([]channel.FileEntry, error) {
	if len(lost) == 0 {
		return nil, nil
	}
	known := make(map[blobnet.ID]bool, len(lost))
	for _, id := range lost {
		known[id] = true
	}
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing own channels: %w", err)
	}
	var out []channel.FileEntry
	for _, o := range owns {
		for e, err := range n.catalog.Entries(ctx, o.Channel, catalog.EntryFilter{}) {
			if err != nil {
				return nil, fmt.Errorf("reading the files of %s: %w", address(o.Channel), err)
			}
			if n.lists(ctx, e.FileEntry, known) {
				out = append(out, e.FileEntry)
			}
		}
	}
	return out, nil
}

// lists reports whether the file lists one of ids, as far as its index is here.
func (n *Node) lists(ctx context.Context, e channel.FileEntry, ids map[blobnet.ID]bool) bool {
	for id, err := range codec.Blobs(ctx, n.blobs, e.File()) {
		if err != nil {
			return false
		}
		if ids[id] {
			return true
		}
	}
	return false
}

// rebuild makes the lost blobs of a file out of its others, of which those that
// are not here come from src, if it is not nil. A file without parity is left as
// it is. What cannot be rebuilt is returned as failed.
func (n *Node) rebuild(ctx context.Context, mend *mender, e channel.FileEntry, src blobnet.Source) (failed, err error) {
	done, err := erasure.Repair(ctx, erasure.RepairConfig{Store: mend, File: e.File(), Source: src})
	if errors.Is(err, erasure.ErrNotCoded) {
		return nil, nil
	}
	return errors.Join(done.Failed...), err
}

// makeWhole gets or rebuilds with the help of peers the blobs of a file that are
// not here.
func (n *Node) makeWhole(ctx context.Context, mend *mender, e channel.FileEntry) error {
	missing, err := n.missing(ctx, mend, e)
	if err == nil && len(missing) == 0 {
		return nil
	}
	swarm, err := n.newSwarm(mend, repairPatience, 0)
	if err != nil {
		return err
	}
	defer n.net.gather(ctx, swarm, n.net.connected, tracker.Key(e.Root.ID))()
	if missing, err = n.missing(ctx, swarm, e); err != nil { // an index that was not here came
		return err
	}
	_, err = n.refetch(ctx, mend, missing, tracker.Key(e.Root.ID))
	if err == nil || !errors.Is(err, blobnet.ErrNotFound) {
		return err
	}
	nobody := err
	failed, err := n.rebuild(ctx, mend, e, swarm)
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if missing, err = n.missing(ctx, mend, e); err == nil && len(missing) > 0 {
		return nobody
	}
	return err
}

// missing returns those blobs of a file that are not here. Its tree is read from
// src.
func (n *Node) missing(ctx context.Context, src blobnet.Source, e channel.FileEntry) ([]blobnet.ID, error) {
	var out []blobnet.ID
	looked := 0
	for ids, err := range seq.Batches(codec.Blobs(ctx, src, e.File()), batch) {
		if err != nil {
			return nil, fmt.Errorf("listing blobs: %w", err)
		}
		if looked += len(ids); looked > maxNamed { // three index blobs can claim 2^30
			return nil, fmt.Errorf("%w: more than %d blobs", channel.ErrLimit, maxNamed)
		}
		has, err := n.blobs.Has(ctx, ids...)
		if err != nil {
			return nil, err
		}
		for i, ok := range has {
			if !ok {
				out = append(out, ids[i])
			}
		}
	}
	return out, nil
}
