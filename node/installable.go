package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// What comes out of a channel to be run, plugins and applications, wants more than what
// is played: see installable.

// fetchPlugin has an archive out of a channel: whoever signs that vouches for it. Its
// source names the channel itself, also where from has a name of ours for it.
func (n *Node) fetchPlugin(ctx context.Context, from string, emit func(any)) (file, source string, err error) {
	target, name, _ := strings.Cut(from, "/")
	if strings.HasPrefix(from, "aml://") {
		target, name = from, ""
	}
	t, err := n.targetIn(ctx, target)
	if err != nil {
		return "", "", err
	}
	if name == "" {
		name = t.address.Path
	}
	if name == "" {
		return "", "", badRequest("%s: want aml://CHANNEL/NAME, the name of an archive in the channel", t)
	}
	entry, err := n.catalog.Entry(ctx, t.address.ID, name)
	if err == nil && entry.Removed {
		err = fmt.Errorf("%w", fs.ErrNotExist)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s in %s: %w; follow the channel first, so that it is known what is in it", name, address(t.address.ID), err)
	}
	info, err := n.catalog.Channel(ctx, t.address.ID)
	if err != nil {
		return "", "", err
	}
	if err := installable(info, entry.Log, name); err != nil {
		return "", "", fmt.Errorf("%w. To install it all the same, fetch the file and give its path", err)
	}
	text, err := json.Marshal(entry.FileEntry)
	if err != nil {
		return "", "", err
	}
	dir, err := os.MkdirTemp("", "aml-plugin-*")
	if err != nil {
		return "", "", err
	}
	file = filepath.Join(dir, "plugin")
	if _, err := n.Fetch(ctx, FetchRequest{Entries: Document{Name: from, Text: text}, Output: file, Replace: true}, emit); err != nil {
		return "", "", errors.Join(err, os.RemoveAll(dir))
	}
	return file, address(t.address.ID) + "/" + name, nil
}

// installable refuses what may be an old state of the channel, of whatever kind it
// is, or one of two histories: software that has been mended since must not come in.
func installable(info catalog.Info, log channel.PublicKey, what string) error {
	why := ""
	switch {
	case slices.ContainsFunc(info.Logs, func(l catalog.LogInfo) bool { return l.Log == log && l.Frozen }):
		why = "the key that published it has signed two histories"
	case info.Root.Kind == channel.Update: // in which a fork holds nothing back but its own releases
		reason, message := info.Hold()
		if reason == "" {
			return nil
		}
		why = "the channel is " + reason + ": " + message
	case !info.Fresh:
		why = "the channel is stale: there may be a newer one"
	default:
		return nil
	}
	return fmt.Errorf("%s of %s is not installed: %s; see channel-show", what, address(info.ID), why)
}
