package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
)

// signingPatience bounds all of what a plugin is waited for when it signs or
// tells its keys, its start included. Its own answer has 30 s.
const signingPatience = time.Minute

// signByPlugin has a plugin sign, for what reads keys.
func (n *Node) signByPlugin(plugin string, key channel.PublicKey, message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signingPatience)
	defer cancel()
	return n.plugins.host.Sign(ctx, plugin, key, message)
}

// PluginKeyRequest takes a key that a plugin holds into the ring.
type PluginKeyRequest struct {
	Plugin string             `json:"plugin"`
	Key    *channel.PublicKey `json:"key"`  // nil: the only one that it has
	Name   string             `json:"name"` // the key's name in the home's folder of keys
	File   string             `json:"file"` // or its file, an absolute path
}

// PluginKey writes a key's file that says which plugin holds it. The key itself
// never leaves the plugin.
func (n *Node) PluginKey(ctx context.Context, req PluginKeyRequest, _ func(any)) (KeyInfo, error) {
	file := req.File
	if file == "" {
		var err error
		if file, err = KeyFile(n.cfg.Paths.Keys, req.Name); err != nil {
			return KeyInfo{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, signingPatience)
	defer cancel()
	keys, err := n.plugins.host.PublicKeys(ctx, req.Plugin)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("asking for keys: %w", err)
	}
	key, err := oneOf(req, keys)
	if err != nil {
		return KeyInfo{}, err
	}
	if err := os.MkdirAll(n.cfg.Paths.Keys, 0o700); err != nil {
		return KeyInfo{}, fmt.Errorf("making the folder of keys: %w", err)
	}
	switch err := keyfile.WriteOfPlugin(file, req.Plugin, key); {
	case errors.Is(err, fs.ErrExist):
		return KeyInfo{}, fmt.Errorf("%w; keys are not written over: give another name, or see key-show", err)
	case err != nil:
		return KeyInfo{}, err
	}
	return KeyInfo{Key: key, File: file, Plugin: req.Plugin}, nil
}

// oneOf chooses the key that a request means among those that its plugin has.
func oneOf(req PluginKeyRequest, keys []channel.PublicKey) (channel.PublicKey, error) {
	var all []string
	for _, k := range keys {
		all = append(all, k.String())
	}
	switch {
	case req.Key != nil && slices.Contains(keys, *req.Key):
		return *req.Key, nil
	case req.Key != nil:
		return channel.PublicKey{}, badRequest("plugin %s does not hold key %s; it has %d: %s", req.Plugin, *req.Key, len(keys), strings.Join(all[:min(len(all), 8)], ", "))
	case len(keys) == 0:
		return channel.PublicKey{}, badRequest("plugin %s holds no key yet; see its documentation, and plugin-logs %[1]s", req.Plugin)
	case len(keys) > 1:
		return channel.PublicKey{}, badRequest("plugin %s holds %d keys; say which with --key: %s", req.Plugin, len(keys), strings.Join(all[:min(len(all), 8)], ", "))
	}
	return keys[0], nil
}
