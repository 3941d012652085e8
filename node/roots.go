package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/outfile"
)

// The roots are the ids of the root blobs of files that were ingested or fetched
// here, beside those of channels: a daemon announces them again after a restart.
// They are kept as lines of hex in a file to which is added, and which is written
// anew when most of it has been said twice; ids are no secrets. A line that a
// crash cut short is passed over.

// noteRoots remembers files, and announces them if this node is on the network.
// What cannot be written down is announced until the process ends.
func (n *Node) noteRoots(ctx context.Context, ids ...blobnet.ID) {
	lines := []byte{'\n'} // ends a line that a crash cut short
	for _, id := range ids {
		lines = append(append(lines, id.String()...), '\n')
	}
	if err := n.appendRoots(lines); err != nil {
		n.log.Warn("noting which files to announce", "error", err)
	}
	if n.cfg.Network && n.cfg.Resume {
		if err := n.hold(ctx, ids...); err != nil && ctx.Err() == nil {
			n.log.Warn("announcing", "error", err)
		}
	}
}

func (n *Node) appendRoots(lines []byte) error {
	n.rooting.Lock()
	defer n.rooting.Unlock()
	if err := disk.Regular(n.cfg.Paths.Roots); err != nil {
		return err
	}
	f, err := os.OpenFile(n.cfg.Paths.Roots, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Close())
}

// serveRoots announces the files that were ingested or fetched here earlier.
func (n *Node) serveRoots(ctx context.Context) error {
	ids, err := n.tidyRoots(ctx)
	if err == nil {
		err = n.hold(ctx, ids...)
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("announcing files of earlier runs", "error", err)
	}
	return nil
}

// tidyRoots returns the ids in the file, and writes it anew if most of its lines
// say nothing.
func (n *Node) tidyRoots(ctx context.Context) ([]blobnet.ID, error) {
	n.rooting.Lock()
	defer n.rooting.Unlock()
	ids, lines, err := readRoots(n.cfg.Paths.Roots)
	if err != nil {
		return ids, fmt.Errorf("reading which files to announce: %w", err)
	}
	if lines > 3*len(ids)+64 {
		if err := writeRoots(ctx, n.cfg.Paths.Roots, ids); err != nil && ctx.Err() == nil {
			n.log.Warn("tidying which files to announce", "error", err)
		}
	}
	return ids, nil
}

func writeRoots(ctx context.Context, path string, ids []blobnet.ID) error {
	f, err := outfile.Create(ctx, path, ".aml-roots-*")
	if err != nil {
		return err
	}
	defer f.Abort()
	var text bytes.Buffer
	for _, id := range ids {
		text.WriteString(id.String() + "\n")
	}
	if _, err := f.Write(text.Bytes()); err != nil {
		return err
	}
	return f.Commit()
}

// readRoots returns the ids in the file, each once, the newest if there are more
// than a tracker takes, and how many lines it has.
func readRoots(path string) (ids []blobnet.ID, count int, err error) {
	if err := disk.Regular(path); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	seen := map[blobnet.ID]bool{}
	lines := bufio.NewScanner(f)
	for ; lines.Scan(); count++ {
		if id, err := blobnet.ParseID(lines.Text()); err == nil && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids[max(0, len(ids)-tracker.MaxKeys):], count, lines.Err()
}
