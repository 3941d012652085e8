package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/subscriber"
)

// newSwarm is an empty swarm that keeps what it gets in this node's store.
func (n *Node) newSwarm(patience time.Duration) (*fetch.Swarm, error) {
	s, err := fetch.New(fetch.Config{Store: n.blobs, StallTimeout: patience, OnEvent: n.onFetch})
	if err != nil {
		return nil, fmt.Errorf("preparing to fetch: %w", err)
	}
	return s, nil
}

// Fetch gets the files of a request from whoever has them: one into the file
// Output, several below the folder Output. It emits ProgressEvents.
func (n *Node) Fetch(ctx context.Context, req FetchRequest, emit func(any)) (FetchResult, error) {
	entries, err := req.Entries.entries()
	if err != nil {
		return FetchResult{}, err
	}
	if err := checkOutput(req.Output, len(entries) == 1); err != nil {
		return FetchResult{}, err
	}
	net, err := n.online(ctx)
	if err != nil {
		return FetchResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return FetchResult{}, err
	}
	swarm, err := n.newSwarm(time.Duration(req.Timeout))
	if err != nil {
		return FetchResult{}, err
	}
	defer n.bus.forward(emit, func(about string) bool { return about == aboutPeers })()
	keys := make([]tracker.Key, len(entries))
	for i, e := range entries {
		keys[i] = tracker.Key(e.Root.ID)
	}
	var searching sync.WaitGroup
	defer searching.Wait()
	search, cancel := context.WithCancel(ctx)
	defer cancel()
	searching.Go(func() { net.feedSwarm(search, swarm, nil, keys...) })

	onProgress := func(p subscriber.Progress) {
		emit(ProgressEvent{Event: "progress", Name: p.Name, Done: p.Done, Total: p.Total, Local: p.Local})
	}
	var fetched []subscriber.Fetched
	if len(entries) == 1 {
		f, err := subscriber.DownloadFile(ctx, swarm, entries[0], req.Output, onProgress)
		if err != nil {
			return FetchResult{}, err
		}
		fetched = append(fetched, f)
	} else if fetched, err = subscriber.DownloadFolder(ctx, swarm, entries, req.Output, onProgress); err != nil {
		return FetchResult{}, err
	}
	res := FetchResult{Files: make([]FetchedFile, len(fetched))}
	for i, f := range fetched {
		res.Files[i] = FetchedFile{
			Name: f.Name, Path: f.Path, Size: f.Size, SHA256: f.SHA256.String(),
			FromStore: f.FromStore, FromPeers: f.FromPeers,
		}
	}
	return res, n.blobs.Sync(ctx)
}

// checkOutput refuses a folder where a file is to be written, and the reverse.
func checkOutput(path string, file bool) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil // not there, or the writer says why it cannot be used
	case file && info.IsDir():
		return badRequest("output %s is a folder; name the file to write", path)
	case !file && !info.IsDir():
		return badRequest("output %s is a file; several entries need a folder", path)
	}
	return nil
}

// onFetch tells whoever watches of peers that sent wrong bytes, and of blobs
// that could not be kept.
func (n *Node) onFetch(e fetch.Event) {
	switch e.Kind {
	case fetch.KindUnstored:
		n.log.Warn("not kept for others", "blob", e.ID.Short(), "error", e.Err)
	case fetch.KindDropped:
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer, State: "misbehaved", Message: e.Err.Error()})
	}
}

// announceFile tells the tracker that this node has a file now.
func (n *Node) announceFile(ctx context.Context, f FileEvent) {
	if err := n.net.tracker.Announce(ctx, tracker.Key(f.Root)); err != nil && ctx.Err() == nil {
		n.log.Warn("announcing", "file", f.Name, "error", err)
	}
}
