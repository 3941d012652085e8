package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/outfile"
)

// What was found of a channel's copies is kept in a file by its id, which its
// owner alone can read: it has names. It is a note, and no truth: one that is lost
// or cannot be read is looked for again.

// maxKeptCopies bounds such a file.
const maxKeptCopies = 4 << 20

func (n *Node) copiesFile(id channel.ID) string {
	return filepath.Join(n.cfg.Paths.Copies, id.String()+".json")
}

// keptCopies is what was found last, its newest releases up to limit.
func (n *Node) keptCopies(ctx context.Context, info catalog.Info, limit int) (CopiesResult, error) {
	res := CopiesResult{Releases: []ReleaseCopies{}, Holders: []HolderInfo{}, Liars: []LiarInfo{}}
	text, err := readSome(n.copiesFile(info.ID), maxKeptCopies)
	kept := keptCopies{}
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	switch {
	case err == nil && kept.Version == copiesVersion && kept.Result.Channel == info.ID.String():
		res = kept.Result
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		n.log.Warn("reading what is known of copies; it is looked for anew", "error", err)
	}
	res.Channel, res.Address, res.Title = info.ID.String(), address(info.ID), titleIn(info)
	res.Freshness = freshnessOf(info)
	newest, err := n.catalog.Newest(ctx, info.ID, limit)
	if err != nil {
		return res, err
	}
	age := time.Since(res.Checked.Time())
	res.Current = !res.Checked.IsZero() && age >= 0 && age < copiesCurrent && len(kept.Looked) >= len(newest) && slices.Equal(kept.Looked[:len(newest)], newest)
	res.Releases = res.Releases[:min(len(res.Releases), limit)]
	return res, nil
}

const copiesVersion = 2

// keptCopies is what is in the file.
type keptCopies struct {
	Version int          `json:"version"`
	Looked  []int64      `json:"looked"` // positions of the releases that were looked at, the newest first
	Result  CopiesResult `json:"result"`
}

// keepCopies writes down what was found.
func (n *Node) keepCopies(ctx context.Context, info channel.ID, newest []int64, res CopiesResult) {
	text, err := json.Marshal(keptCopies{copiesVersion, newest, res})
	if err == nil {
		err = os.MkdirAll(n.cfg.Paths.Copies, 0o700)
	}
	if err == nil {
		err = n.writeCopies(ctx, info, text)
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("writing down who has copies", "error", err)
	}
}

func (n *Node) writeCopies(ctx context.Context, id channel.ID, text []byte) error {
	f, err := outfile.Create(ctx, n.copiesFile(id), ".aml-copies-*")
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Commit()
}

// readSome reads a file of at most so many bytes.
func readSome(path string, most int64) ([]byte, error) {
	if err := disk.Regular(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New("the file is too large to be ours")
	}
	return text, err
}
