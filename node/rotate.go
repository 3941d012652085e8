package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/publisher"
)

// rotation is a new key on its way to the place of another.
type rotation struct {
	old   catalog.Own
	own   catalog.Own // of the new key
	grant channel.Publisher
	key   channel.PrivateKey
	file  string
	done  bool // the root names it
}

// rotation finds the key that is to be replaced: one that this home publishes
// with.
func (n *Node) rotation(ctx context.Context, info catalog.Info, req RotateRequest) (*rotation, error) {
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return nil, err
	}
	owns = slices.DeleteFunc(owns, func(o catalog.Own) bool {
		return o.Channel != info.ID || !mayPublish(info.Root, o.Key) || req.Key != nil && o.Key != *req.Key
	})
	if founding := slices.IndexFunc(owns, func(o catalog.Own) bool { return o.Topic != "" }); len(owns) > 1 && founding >= 0 {
		owns = owns[founding : founding+1] // and not one that was let in
	}
	switch {
	case len(owns) == 0 && req.Key != nil:
		return nil, fmt.Errorf("rotating %s: %w: this home does not publish with the key %s; use channel-delegate and channel-revoke for the keys of others", address(info.ID), channel.ErrNotAuthorized, *req.Key)
	case len(owns) == 0:
		return nil, fmt.Errorf("rotating %s: %w: this home has no key that may publish to it; use channel-delegate and channel-revoke for the keys of others", address(info.ID), channel.ErrNotAuthorized)
	case len(owns) > 1:
		return nil, badRequest("this home publishes to %s with %d keys; say with --old-key which is to be replaced, see channel-show", address(info.ID), len(owns))
	}
	r := &rotation{old: owns[0], file: req.NewKeyFile}
	if r.key, err = channel.GenerateKey(); err != nil {
		return nil, err
	}
	if r.file == "" {
		r.file = filepath.Join(n.cfg.Paths.Keys, "publish-"+r.key.Public().Short()+".pem")
	}
	r.own = r.old
	r.own.Key, r.own.KeyFile = r.key.Public(), r.file
	return r, nil
}

// make writes the new key, which is on disk before any root names it.
func (r *rotation) make(root channel.Root) error {
	r.grant, _ = root.Publisher(r.old.Key)
	r.grant.Role, r.grant.Key = channel.RolePublish, r.key.Public() // its name stays
	if root.Class == channel.Private {
		r.grant.Name = "" // the root is in clear
	}
	return keyfile.Write(r.file, r.key)
}

// undo removes a key that is for nothing.
func (r *rotation) undo() error {
	if r.done || r.grant.Key.IsZero() {
		return nil
	}
	err := os.Remove(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// firstOfNewKey is a release that only says what has happened: a log without
// one has no head, and the channel would be stale until the next.
func (n *Node) firstOfNewKey(ctx context.Context, r *rotation, emit func(any)) error {
	n.unlock(ctx, r.own.Channel)
	done, err := n.pub.Publish(ctx, publisher.Release{Channel: r.own.Channel, Key: r.key, Title: "New publishing key"})
	if err != nil {
		return fmt.Errorf("the new key is in force; publishing a first release with it, which says so, failed: %w", err)
	}
	tellUnannounced(emit, r.own.Channel, done.Unannounced)
	return n.own(ctx, r.own.Channel)
}
