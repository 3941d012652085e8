package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
	"github.com/anonymous-media-library/aml/subscriber"
)

// newSwarm is an empty swarm that keeps what it gets in store, which is this
// node's or stands before it. size is how many bytes are to be fetched with it,
// 0 if that is not known.
func (n *Node) newSwarm(store blobnet.Store, patience time.Duration, size uint64) (*fetch.Swarm, error) {
	return n.newSwarmWithin(n.net.download, store, patience, size)
}

// newSwarmWithin is newSwarm with a limit of its own.
func (n *Node) newSwarmWithin(down fetch.Limiter, store blobnet.Store, patience time.Duration, size uint64) (*fetch.Swarm, error) {
	s, err := fetch.New(fetch.Config{
		Store: store, StallTimeout: patience, Download: down, Bans: n.net.bans, Budget: n.net.budget, OnEvent: n.onFetch,
		Name: n.net.host.ID().String(), LeastOutstanding: leastOutstanding(size),
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to fetch: %w", err)
	}
	return s, nil
}

// sieve is the store of a fetch, which makes the files that are written the store
// of what is in them; with keep the blobs are stored beside.
func (n *Node) sieve(keep bool) interface {
	blobnet.Store
	subscriber.Place
} {
	if keep {
		return n.blobs.Keeper()
	}
	return n.blobs.Sieve()
}

// leastOutstanding is how many bytes of a fetch are under way at once where the
// round trip is short: what has to be asked for again after a kill. That is less
// than 1 % of size, but two blobs at least, so that one comes while another is
// written; 8 MiB where the size is not known.
func leastOutstanding(size uint64) int {
	if size == 0 {
		return 8 << 20
	}
	const blobs = 2 * (1<<20 + 64)
	return int(min(max(size/1000*9, blobs), 32<<20))
}

// Fetch gets the files of a request from whoever has them: one into the file
// Output, several below the folder Output. It emits ProgressEvents. If Output is
// there and no regular file, such as a pipe, the file is written to it as it is.
func (n *Node) Fetch(ctx context.Context, req FetchRequest, emit func(any)) (FetchResult, error) {
	entries, err := req.Entries.entries()
	if err != nil {
		return FetchResult{}, err
	}
	special, err := checkOutput(req.Output, len(entries) == 1)
	if err != nil {
		return FetchResult{}, err
	}
	if !req.Replace {
		if err := notOver(entries, req.Output); err != nil {
			return FetchResult{}, err
		}
	}
	net, err := n.online(ctx)
	if err != nil {
		return FetchResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return FetchResult{}, err
	}
	if special {
		return n.play(ctx, req, entries[0])
	}
	size := uint64(0)
	for _, e := range entries {
		size += e.Size
	}
	keep := req.KeepBlobs || n.cfg.KeepBlobs
	sieve := n.sieve(keep)
	swarm, err := n.newSwarm(sieve, time.Duration(req.Timeout), size)
	if err != nil {
		return FetchResult{}, err
	}
	ctx, patient := impatient(ctx, swarm, cmp.Or(time.Duration(req.Timeout), defaultPatience))
	defer patient()
	defer n.bus.forward(emit, func(about string) bool { return about == aboutPeers })()
	keys := make([]tracker.Key, len(entries))
	for i, e := range entries {
		keys[i] = tracker.Key(e.Root.ID)
	}
	// From its first blob on this node has something that others want. That is
	// announced before others are looked for: of two who begin at the same time at
	// least one finds the other.
	if err := net.keys.add(ctx, keys...); err != nil {
		return FetchResult{}, fmt.Errorf("announcing: %w", err)
	}
	defer net.keys.remove(keys...)
	defer net.gather(ctx, swarm, nil, keys...)()

	onProgress := func(p subscriber.Progress) {
		emit(ProgressEvent{Event: "progress", Name: p.Name, Done: p.Done, Total: p.Total, Local: p.Local})
	}
	d := subscriber.Download{Swarm: swarm, Place: sieve, KeepBlobs: keep, OnProgress: onProgress}
	fetched, err := download(ctx, d, entries, req.Output)
	if err != nil {
		return FetchResult{}, blame(entries, err)
	}
	if err := net.keys.hold(ctx, keys...); err != nil {
		return FetchResult{}, fmt.Errorf("announcing: %w", err)
	}
	roots := make([]blobnet.ID, len(entries))
	for i, e := range entries {
		roots[i] = e.Root.ID
	}
	n.noteRoots(ctx, roots...)
	res := FetchResult{Files: make([]FetchedFile, len(fetched))}
	for i, f := range fetched {
		res.Files[i] = FetchedFile{
			Name: f.Name, Path: f.Path, Size: f.Size, SHA256: f.SHA256.String(),
			FromStore: f.FromStore, FromPeers: f.FromPeers,
		}
	}
	if keep {
		for _, e := range entries {
			if err := n.countKept(ctx, e, &res); err != nil {
				return res, err
			}
		}
	}
	return res, n.recordFetched(ctx, emit)
}

// countKept counts the blobs of a file, and those of them that the store had no
// room for, or has dropped to make room for others of them. Where the index is
// among these, what it lists is not counted.
func (n *Node) countKept(ctx context.Context, e channel.FileEntry, res *FetchResult) error {
	for ids, err := range seq.Batches(codec.Blobs(ctx, n.blobs, e.File()), batch) {
		if errors.Is(err, blobnet.ErrNotFound) {
			res.Blobs++
			res.Unkept++
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking what was kept of %q: %w", e.Name, err)
		}
		has, err := n.disk.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for _, ok := range has {
			if res.Blobs++; !ok {
				res.Unkept++
			}
		}
	}
	return nil
}

// recordFetched writes down what can be served now that files are whole and in
// place. That the disk has no room for it is told, and makes the fetch no failure.
func (n *Node) recordFetched(ctx context.Context, emit func(any)) error {
	err := n.blobs.Sync(ctx)
	if !errors.Is(err, blobnet.ErrFull) {
		return err
	}
	const unrecorded = "what was fetched is whole; that it is served from here could not be written down, because the disk is full"
	n.log.Warn(unrecorded, "error", err)
	emit(ErrorEvent{Event: "error", Message: unrecorded + ": " + err.Error(), Retry: true})
	return nil
}

// download writes one entry to the file out, several below the folder out.
func download(ctx context.Context, d subscriber.Download, entries []channel.FileEntry, out string) ([]subscriber.Fetched, error) {
	if len(entries) != 1 {
		return d.Folder(ctx, entries, out)
	}
	f, err := d.File(ctx, entries[0], out)
	return []subscriber.Fetched{f}, err
}

// checkOutput refuses a folder where a file is to be written, and the reverse.
// What is there and neither is special.
func checkOutput(path string, file bool) (special bool, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false, nil // not there, or the writer says why it cannot be used
	case file && info.IsDir():
		return false, badRequest("output %s is a folder; name the file to write", path)
	case !file && !info.IsDir():
		return false, badRequest("output %s is a file; several entries need a folder", path)
	}
	return file && !info.Mode().IsRegular(), nil
}

// notOver is an error if a file would be written over that is plainly another: it has
// not the size of the one to fetch. One that has may be that file, of an earlier fetch or
// with bytes that have changed since, and is checked and put right.
func notOver(entries []channel.FileEntry, out string) error {
	for _, e := range entries {
		path := out
		if len(entries) != 1 {
			path = filepath.Join(out, filepath.FromSlash(e.Name))
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && uint64(info.Size()) != e.Size {
			return fmt.Errorf("writing output %s: %w, and is another; name another file, or say --replace", path, fs.ErrExist)
		}
	}
	return nil
}

// onFetch tells whoever watches of peers that sent wrong bytes, and of blobs
// that could not be kept, and counts what came twice.
func (n *Node) onFetch(e fetch.Event) {
	switch e.Kind {
	case fetch.KindDuplicate:
		if e.Err == nil { // else who brought it knows
			n.book.Twice(host(e.Peer), e.Bytes)
		}
	case fetch.KindUnstored:
		level := slog.LevelWarn
		if !n.cfg.Resume { // the command says how many in the end
			level = slog.LevelDebug
		}
		n.log.Log(context.Background(), level, "not kept for others", "blob", e.ID.Short(), "error", e.Err)
	case fetch.KindDropped:
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer, State: "misbehaved", Message: e.Err.Error()})
	}
}
