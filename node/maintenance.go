package node

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/archive"
	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// BlobList tells of every stored blob, by ascending id. It emits BlobEvents.
func (n *Node) BlobList(ctx context.Context, req BlobListRequest, emit func(any)) (res BlobListResult, err error) {
	err = n.blobs.List(ctx, func(b blobnet.Info) error {
		if req.Pinned && !b.Pinned {
			return nil
		}
		stored, err := n.disk.Has(ctx, b.ID)
		if err != nil {
			return err
		}
		if !stored[0] {
			if here, err := n.blobs.Has(ctx, b.ID); err != nil || !here[0] {
				return err // its file is gone
			}
		}
		e := BlobEvent{Event: "blob", ID: b.ID, Size: b.Size, Pinned: b.Pinned, InPlace: !stored[0]}
		res.Blobs++
		res.Bytes += b.Size
		if !b.Used.IsZero() {
			e.Used = channel.Time(b.Used.Unix())
		}
		emit(e)
		return nil
	})
	return res, err
}

// GC deletes blobs that are not pinned, and what interrupted runs left, and
// forgets files in place that are gone and of which nothing is pinned.
func (n *Node) GC(ctx context.Context, req GCRequest, _ func(any)) (GCResult, error) {
	if req.Target < 0 {
		return GCResult{}, badRequest("a target of %d bytes: want 0 or more", req.Target)
	}
	files, err := n.blobs.ForgetGone(ctx, req.DryRun, n.disk.Pinned) // first: their index blobs are then let go
	if err != nil {
		return GCResult{}, err
	}
	res, err := n.disk.GC(ctx, diskstore.GCConfig{Target: req.Target, DryRun: req.DryRun})
	if err == nil && n.cfg.Network && !req.DryRun {
		if _, err = n.online(ctx); err == nil {
			err = n.letGoOfGone(ctx)
		}
	}
	return GCResult{Blobs: res.Blobs, Bytes: res.Bytes, Leftover: res.Leftovers + res.Quarantined, Forgotten: files, DryRun: req.DryRun}, err
}

// Scrub reads and checks what is stored and what lies in files. It emits
// ProgressEvents and RottenEvents.
func (n *Node) Scrub(ctx context.Context, req ScrubRequest, emit func(any)) (ScrubResult, error) {
	if req.Rate < 0 {
		return ScrubResult{}, badRequest("a rate of %d bytes per second: want 0 or more", req.Rate)
	}
	if req.Repair {
		net, err := n.online(ctx)
		if err != nil {
			return ScrubResult{}, err
		}
		if err := net.know(req.Peers); err != nil {
			return ScrubResult{}, err
		}
	}
	var entries []channel.FileEntry
	if req.Entries != nil {
		var err error
		if entries, err = req.Entries.entries(); err != nil {
			return ScrubResult{}, err
		}
	}
	if req.Repair {
		n.mending.Add(1)
		defer n.mending.Add(-1)
	}
	tell := newRotTeller(emit)
	defer n.bus.forward(tell.event, func(about string) bool { return about == aboutStore })()
	var res ScrubResult
	var lost []blobnet.ID
	note := func(id blobnet.ID) {
		if len(lost) < maxNamed {
			lost = append(lost, id)
		}
	}
	speed := req.Rate
	if speed == 0 {
		speed = -1 // as fast as it goes
	}
	stats, err := n.disk.Stats(ctx)
	if err != nil {
		return res, err
	}
	done, err := n.disk.Scrub(ctx, diskstore.ScrubConfig{
		BytesPerSecond: speed, Restart: true, OnCorrupt: note, OnMissing: note,
		OnProgress: func(r diskstore.ScrubResult) {
			emit(ProgressEvent{Event: "progress", Name: "scrub", Done: uint64(r.Bytes), Total: uint64(stats.CurrentSize)})
		},
	})
	res = ScrubResult{Blobs: done.Blobs, Bytes: done.Bytes, Rotten: done.Corrupt, Missing: done.Missing}
	if err == nil {
		err = n.scrubFiles(ctx, req.Rate, &res, note, tell)
	}
	if err == nil {
		err = n.lostEarlier(ctx, lost, &res, func(id blobnet.ID) {
			tell.lost(id)
			note(id)
		})
	}
	if err != nil || !req.Repair {
		res.Left = res.Rotten + res.Missing
		return res, err
	}
	if req.Entries == nil {
		if entries, err = n.ownEntries(ctx, lost); err != nil {
			return res, err
		}
	}
	mend := newMender(n.blobs, func(id blobnet.ID) {
		n.bus.send(aboutStore, RottenEvent{Event: "rotten", ID: id, Message: "here again, from a peer or rebuilt", Repaired: true})
	})
	if err := n.repairAll(ctx, mend, lost, entries); err != nil {
		return res, errors.Join(err, mend.count(ctx, lost, &res))
	}
	if err := mend.count(ctx, lost, &res); err != nil {
		return res, err
	}
	return res, n.blobs.Sync(ctx)
}

// scrubFiles reads every blob that lies in a file. tell may be nil.
func (n *Node) scrubFiles(ctx context.Context, speed int64, res *ScrubResult, lost func(blobnet.ID), tell *rotTeller) error {
	pace := rate.NewLimiter(rate.Inf, 0)
	if speed > 0 {
		pace = rate.NewLimiter(rate.Limit(speed), blobnet.MaxBlobSize)
	}
	var buf []byte
	for ids, err := range seq.Batches(archive.All(ctx, n.blobs), batch) {
		if err != nil {
			return err
		}
		stored, err := n.disk.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if stored[i] {
				continue // the store's own scrub has read it
			}
			var paths []string
			if tell != nil {
				paths = n.paths(ctx, id) // a chunk that changed is forgotten when it is read
			}
			blob, err := n.blobs.Get(ctx, id, buf[:0])
			switch {
			case err == nil:
				buf = blob
				res.Blobs++
				res.Bytes += int64(len(blob))
				if err := pace.WaitN(ctx, len(blob)); err != nil {
					return err
				}
			case errors.Is(err, blobnet.ErrNotFound), errors.Is(err, blobnet.ErrCorrupt):
				res.Missing++
				lost(id)
				if tell != nil {
					tell.files(paths)
				}
			default:
				return err
			}
		}
	}
	return nil
}

// lostEarlier finds what is pinned and was lost before this scrub.
func (n *Node) lostEarlier(ctx context.Context, now []blobnet.ID, res *ScrubResult, lost func(blobnet.ID)) error {
	known := make(map[blobnet.ID]bool, len(now))
	for _, id := range now {
		known[id] = true
	}
	for ids, err := range seq.Batches(n.disk.Lost(ctx), batch) {
		if err != nil {
			return err
		}
		has, err := n.blobs.Has(ctx, ids...) // it may lie in a file
		if err != nil {
			return err
		}
		for i, id := range ids {
			if !has[i] && !known[id] {
				res.Missing++
				lost(id)
			}
		}
	}
	return nil
}

// scrubInterval is how long a daemon waits between two scrubs of a store that it
// has been through.
const scrubInterval = time.Hour

// scrubAll checks once what is stored and what lies in files, at the configured
// rate. What is damaged, and what is pinned and was lost before, is had again; a
// file that changed is told of, and its chunks are not: somebody wanted it so.
func (n *Node) scrubAll(ctx context.Context) error {
	if _, err := n.disk.Scrub(ctx, diskstore.ScrubConfig{BytesPerSecond: n.cfg.Scrub}); err != nil {
		return err
	}
	var res ScrubResult
	if err := n.scrubFiles(ctx, n.cfg.Scrub, &res, func(blobnet.ID) {}, nil); err != nil {
		return err
	}
	n.lookAgain()
	return n.lostEarlier(ctx, nil, &res, n.haveAgain)
}

// scrubForever checks what is here, again and again, until ctx ends.
func (n *Node) scrubForever(ctx context.Context) error {
	for n.cfg.Scrub > 0 {
		if err := n.scrubAll(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("scrubbing", "error", err)
		}
		if pause(ctx, scrubInterval) != nil {
			return nil
		}
	}
	return nil
}
