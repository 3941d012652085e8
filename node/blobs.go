package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/account"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
	"github.com/anonymous-media-library/aml/publisher"
)

// maxNamed bounds the blobs that one request can name: an index may list one
// blob again and again, so that a few state more files than there is memory.
const maxNamed = 1 << 22

// batch is how many blob ids go into one question to the store.
const batch = 1024

// Ingest seals a file or folder into the store. It emits ProgressEvents.
func (n *Node) Ingest(ctx context.Context, req IngestRequest, emit func(any)) (IngestResult, error) {
	scheme, err := parseErasure(req.Erasure)
	if err != nil {
		return IngestResult{}, err
	}
	res, err := n.pub.Ingest(ctx, publisher.IngestSpec{
		Path: req.Path, ChunkSize: req.ChunkSize, InPlace: req.InPlace, Erasure: scheme, OnProgress: ingestProgress(emit),
	})
	if err != nil {
		return IngestResult{}, err
	}
	roots := make([]blobnet.ID, len(res.Entries))
	for i, e := range res.Entries {
		roots[i] = e.Root.ID
	}
	n.noteRoots(ctx, roots...)
	return IngestResult{Folder: res.Folder, Entries: res.Entries}, nil
}

// Pin pins the named blobs, or all blobs of the named files; a file's blobs
// must be in the store, so that its index can be read.
func (n *Node) Pin(ctx context.Context, req PinRequest, _ func(any)) (PinResult, error) {
	return n.eachNamed(ctx, req, func(ids []blobnet.ID) error {
		has, err := n.blobs.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for i, ok := range has {
			if !ok {
				return fmt.Errorf("pinning %s: %w in this store; fetch it first", ids[i], blobnet.ErrNotFound)
			}
		}
		return n.blobs.Pin(ctx, ids...)
	})
}

// Unpin takes one pin off each of the named blobs and counts those that had one.
// A blob that is named by its id must be here, or pinned.
func (n *Node) Unpin(ctx context.Context, req PinRequest, _ func(any)) (PinResult, error) {
	count := 0
	res, err := n.eachNamed(ctx, req, func(ids []blobnet.ID) error {
		pinned, err := n.disk.Pinned(ctx, ids...)
		if err != nil {
			return err
		}
		has, err := n.blobs.Has(ctx, req.IDs...) // they come first in ids
		if err != nil {
			return err
		}
		for i, ok := range has {
			if !ok && !pinned[i] {
				return fmt.Errorf("unpinning %s: %w in this store", ids[i], blobnet.ErrNotFound)
			}
		}
		for _, ok := range pinned {
			if ok {
				count++
			}
		}
		return n.blobs.Unpin(ctx, ids...)
	})
	if err == nil {
		res.Blobs = count
	}
	return res, err
}

// eachNamed collects what req names before it acts, so that a bad entry changes
// nothing.
func (n *Node) eachNamed(ctx context.Context, req PinRequest, do func([]blobnet.ID) error) (PinResult, error) {
	ids := slices.Clone(req.IDs)
	if req.Entries != nil {
		entries, err := req.Entries.entries()
		if err != nil {
			return PinResult{}, err
		}
		for _, e := range entries {
			for id, err := range codec.Blobs(ctx, n.blobs, e.File()) {
				if err != nil {
					return PinResult{}, listing(e, err)
				}
				if ids = append(ids, id); len(ids) > maxNamed {
					return PinResult{}, fmt.Errorf("%w: more than %d blobs named at once", channel.ErrLimit, maxNamed)
				}
			}
		}
	}
	if len(ids) == 0 {
		return PinResult{}, badRequest("no blob named")
	}
	if err := do(ids); err != nil {
		return PinResult{}, err
	}
	return PinResult{Blobs: len(ids)}, n.blobs.Sync(ctx)
}

// listing is why the blobs of a file cannot be listed.
func listing(e channel.FileEntry, err error) error {
	err = fmt.Errorf("listing the blobs of %q: %w", e.Name, misfit(err))
	if errors.Is(err, blobnet.ErrNotFound) {
		err = fmt.Errorf("%w in this store; fetch the file first", err)
	}
	return err
}

// Seed announces the files' root blobs and serves all of their blobs until ctx
// ends. It emits a ListeningEvent first, and UploadEvents.
func (n *Node) Seed(ctx context.Context, req SeedRequest, emit func(any)) (SeedResult, error) {
	entries, err := req.Entries.entries()
	if err != nil {
		return SeedResult{}, err
	}
	net, err := n.online(ctx)
	if err != nil {
		return SeedResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return SeedResult{}, err
	}
	res := SeedResult{Files: len(entries)}
	keys := make([]tracker.Key, len(entries))
	var lacks []any
	for i, e := range entries {
		blobs, missing, err := n.holds(ctx, e)
		if err != nil {
			return SeedResult{}, err
		}
		res.Blobs += blobs
		keys[i] = tracker.Key(e.Root.ID)
		if missing > 0 {
			lacks = append(lacks, ErrorEvent{Event: "error", Message: fmt.Sprintf("%q: %d of %d blobs are not here; readers make them of the others, and blob-scrub --repair -i puts them back", e.Name, missing, blobs+missing)})
		}
	}
	emit(net.listening())
	for _, e := range lacks {
		emit(e)
	}
	events, stop := n.bus.lookOn(func(about string) bool { return about == aboutUploads || about == aboutStore })
	defer stop()
	if err := net.keys.add(ctx, keys...); err != nil {
		return SeedResult{}, fmt.Errorf("announcing: %w", err)
	}
	defer net.keys.remove(keys...)
	sums := map[string]*UploadEvent{} // by peer, since the last report
	report := func() {
		for peer, sum := range sums {
			emit(*sum)
			delete(sums, peer)
		}
	}
	tick := time.NewTicker(uploadInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			report()
			return res, context.Cause(ctx)
		case <-tick.C:
			report()
		case e := <-events:
			up, ok := e.(UploadEvent)
			if !ok {
				emit(e)
				continue
			}
			res.UploadedBlobs += up.Blobs
			res.UploadedBytes += up.Size
			if sum := sums[up.Peer]; sum != nil {
				sum.Blobs += up.Blobs
				sum.Size += up.Size
			} else {
				sums[up.Peer] = &up
			}
		}
	}
}

// uploadInterval is how often uploads are reported, summed by peer, so that a
// peer which asks for one small blob without end does not write the log.
const uploadInterval = time.Second

// remedyLost is what to do about blobs that are not in the store.
const remedyLost = "have what is missing with blob-fetch, or blob-scrub --repair -i, first"

// holds checks that the blobs of e are in the store, and counts them. Of a file
// with parity some may be missing: who fetches it makes them out of the others.
func (n *Node) holds(ctx context.Context, e channel.FileEntry) (count, missing int, err error) {
	var first blobnet.ID
	for ids, err := range seq.Batches(codec.Blobs(ctx, n.blobs, e.File()), batch) {
		if errors.Is(err, blobnet.ErrNotFound) {
			return 0, 0, fmt.Errorf("reading %q from the store: %w; %s", e.Name, err, remedyLost)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("reading %q from the store: %w", e.Name, misfit(err))
		}
		has, err := n.blobs.Has(ctx, ids...)
		if err != nil {
			return 0, 0, err
		}
		for i, ok := range has {
			switch {
			case ok:
				count++
			case missing == 0:
				first = ids[i]
				fallthrough
			default:
				missing++
			}
		}
		if count+missing > maxNamed {
			return 0, 0, fmt.Errorf("%q: %w: more than %d blobs", e.Name, channel.ErrLimit, maxNamed)
		}
	}
	if missing > 0 && (count == 0 || !n.coded(ctx, e)) {
		return 0, 0, fmt.Errorf("%q: blob %s: %w in this store; %s", e.Name, first, blobnet.ErrNotFound, remedyLost)
	}
	return count, missing, nil
}

// misfit says of an index that does not open where the fault may lie: the blob is
// the one that its id names.
func misfit(err error) error {
	for _, is := range []error{codec.ErrSealed, codec.ErrPadding, codec.ErrIndex} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w; is the size or the key in the FileEntry another than that of this file?", err)
		}
	}
	return err
}

// coded reports whether a file has parity.
func (n *Node) coded(ctx context.Context, e channel.FileEntry) bool {
	for stripe, err := range codec.Stripes(ctx, n.blobs, e.File()) {
		return err == nil && !stripe.Coding.IsZero()
	}
	return false
}

// errLagged ends a stream whose reader did not keep up.
var errLagged = errors.New("events came faster than they were read")

// ingestProgress turns what the publisher counts into events.
func ingestProgress(emit func(any)) func(publisher.Progress) {
	return func(p publisher.Progress) {
		emit(ProgressEvent{Event: "progress", Name: p.Name, Done: p.Done, Total: p.Total})
	}
}

// onExchange turns what the exchange tells into events for whoever watches.
func (n *Node) onExchange(e exchange.Event) {
	switch e.Kind {
	case exchange.KindUpload:
		n.bus.send(aboutUploads, UploadEvent{Event: "upload", Peer: e.Peer.String(), Blobs: 1, Size: e.Bytes})
	case exchange.KindHave:
		n.told(e.Peer.String(), e.IDs)
	case exchange.KindMisbehaviour:
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer.String(), State: "misbehaved", Message: "sent bytes that break the protocol or do not hash to their id"})
	}
}

// told lets the fetches that run know what a peer says, unasked, that it has.
func (n *Node) told(peer string, ids []blobnet.ID) {
	select {
	case <-n.ready:
		n.net.swarms.Range(func(s, _ any) bool {
			s.(*fetch.Swarm).Told(peer, ids)
			return true
		})
	default: // nothing is fetched yet
	}
}

// onTraffic counts what was moved with a peer.
func (n *Node) onTraffic(peer string, received, sent exchange.Counts) {
	n.book.Add(peer, account.Counts(received), account.Counts(sent))
}
