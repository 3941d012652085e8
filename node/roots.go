package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// The roots are the ids of the root blobs of files that were ingested or fetched
// here, beside those of channels: a daemon announces them again after a restart.
// They are kept as lines of hex in a file to which is only added; ids are no
// secrets. A line that a crash cut short is passed over.

// noteRoots remembers files, and announces them if this node is on the network.
// What cannot be written down is announced until the process ends.
func (n *Node) noteRoots(ctx context.Context, ids ...blobnet.ID) {
	lines := []byte{'\n'} // ends a line that a crash cut short
	for _, id := range ids {
		lines = append(append(lines, id.String()...), '\n')
	}
	f, err := os.OpenFile(n.cfg.Paths.Roots, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.Write(lines)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		n.log.Warn("noting which files to announce", "error", err)
	}
	if n.cfg.Network && n.cfg.Resume {
		if err := n.hold(ctx, ids...); err != nil && ctx.Err() == nil {
			n.log.Warn("announcing", "error", err)
		}
	}
}

// serveRoots announces the files that were ingested or fetched here earlier.
func (n *Node) serveRoots(ctx context.Context) error {
	ids, err := readRoots(n.cfg.Paths.Roots)
	if err == nil {
		err = n.hold(ctx, ids...)
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("announcing files of earlier runs", "error", err)
	}
	return nil
}

// readRoots returns the ids in the file, each once, at most as many as a tracker
// takes.
func readRoots(path string) ([]blobnet.ID, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which files to announce: %w", err)
	}
	defer f.Close()
	var ids []blobnet.ID
	seen := map[blobnet.ID]bool{}
	lines := bufio.NewScanner(f)
	for len(ids) < tracker.MaxKeys && lines.Scan() {
		if id, err := blobnet.ParseID(lines.Text()); err == nil && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return ids, fmt.Errorf("reading which files to announce: %w", err)
	}
	return ids, nil
}
