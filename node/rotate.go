package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	spare bool // the key was made before, for a root that never came
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
	if len(owns) == 0 { // its key was let in, and has published nothing
		if owns, err = n.heirs(ctx, info); err != nil {
			return nil, err
		}
		owns = slices.DeleteFunc(owns, func(o catalog.Own) bool { return req.Key != nil && o.Key != *req.Key })
	}
	if now := slices.DeleteFunc(slices.Clone(owns), func(o catalog.Own) bool { return !live(info.Root, o.Key) }); len(now) > 0 {
		owns = now
	}
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
	if k, ok := n.spareKey(ctx, info); ok && r.file == "" {
		r.key, r.file, r.spare = k.PrivateKey, k.file, true
	}
	if r.file == "" {
		r.file = filepath.Join(n.cfg.Paths.Keys, "publish-"+r.key.Public().Short()+".pem")
	}
	r.own = r.old
	r.own.Key, r.own.KeyFile = r.key.Public(), r.file
	return r, nil
}

// spareKey is a key that was made here to publish to a channel and that no root
// has named: one was drafted and given up, or this node was killed in between.
func (n *Node) spareKey(ctx context.Context, info catalog.Info) (heldKey, bool) {
	for _, k := range n.keys() {
		_, listed := info.Root.Publisher(k.Public())
		_, revoked := info.Root.RevokedKey(k.Public())
		if !listed && !revoked && n.pub.Doubt(ctx, info.ID, k.Public()) == nil {
			return k, true
		}
	}
	return heldKey{}, false
}

// mayRotate refuses to rotate a key of a private channel whose newest epoch cannot be
// gone on with here: the old key can begin the next. With OnlyHolder it may be one whose
// log lacks something, that signs nothing any more: then the new key has to.
func (n *Node) mayRotate(ctx context.Context, id channel.ID, req RootRequest) error {
	if req.OnlyHolder {
		return nil
	}
	n.unlock(ctx, id)
	if err := n.pub.CanSeal(ctx, id); err != nil {
		return fmt.Errorf("rotating %s, in which the new key could publish nothing: %w", address(id), err)
	}
	return nil
}

// make writes the new key, which is on disk before any root names it.
func (r *rotation) make(root channel.Root) error {
	r.grant, _ = root.Publisher(r.old.Key)
	r.grant.Role, r.grant.Key = channel.RolePublish, r.key.Public() // its name stays
	if root.Class == channel.Private {
		r.grant.Name = "" // the root is in clear
	}
	if r.spare {
		return nil
	}
	err := keyfile.Write(r.file, r.key)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w; keys are not written over: give another name with --new-key", err)
	}
	return err
}

// undo removes a key that is for nothing.
func (r *rotation) undo() error {
	if r.done || r.spare || r.grant.Key.IsZero() {
		return nil
	}
	err := os.Remove(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// heirs are the keys of this home that may publish to a channel and of which it
// has recorded nothing: what they inherit is from an own key that was revoked.
func (n *Node) heirs(ctx context.Context, info catalog.Info) ([]catalog.Own, error) {
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return nil, err
	}
	from := catalog.Own{Channel: info.ID}
	for _, o := range owns {
		if _, revoked := info.Root.RevokedKey(o.Key); o.Channel == info.ID && revoked && (from.Topic == "" || o.Topic != "") {
			from = o
		}
	}
	var out []catalog.Own
	for _, k := range n.keys() {
		known := slices.ContainsFunc(owns, func(o catalog.Own) bool { return o.Channel == info.ID && o.Key == k.Public() })
		if !known && mayPublish(info.Root, k.Public()) {
			heir := from
			heir.Key, heir.KeyFile = k.Public(), k.file
			out = append(out, heir)
		}
	}
	return out, nil
}

// succeed publishes the first release of each key that was made here to take the
// place of another, once the root lists it: the root may have been signed
// elsewhere, or this node may have been killed in between.
func (n *Node) succeed(ctx context.Context, id channel.ID, emit func(any)) error {
	info, err := n.catalog.Channel(ctx, id)
	if err != nil || !info.HasRoot || info.RootExpired {
		return err
	}
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return err
	}
	owns = slices.DeleteFunc(owns, func(o catalog.Own) bool { return o.Channel != id })
	if !slices.ContainsFunc(owns, func(o catalog.Own) bool { _, revoked := info.Root.RevokedKey(o.Key); return revoked }) {
		return nil // none to take the place of
	}
	heirs, err := n.heirs(ctx, info)
	if err != nil {
		return err
	}
	for _, o := range append(owns, heirs...) {
		begun := slices.ContainsFunc(info.Logs, func(l catalog.LogInfo) bool { return l.Log == o.Key && l.Seq > 0 })
		if begun || !mayPublish(info.Root, o.Key) || n.pub.Doubt(ctx, id, o.Key) != nil {
			continue // a key of which nothing is known was let in, and is another's to begin with
		}
		key, err := n.keyFiles.Load(o.KeyFile)
		if err == nil && key.Public() == o.Key {
			if err = n.catalog.Found(ctx, o); err == nil {
				err = n.firstOfNewKey(ctx, id, key, emit)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", address(id), err)
		}
	}
	return nil
}

// succeedAll is succeed for all own channels.
func (n *Node) succeedAll(ctx context.Context) {
	owns, err := n.catalog.Owns(ctx)
	seen := map[channel.ID]bool{}
	for _, o := range owns {
		if !seen[o.Channel] && err == nil {
			err = n.succeed(ctx, o.Channel, func(any) {})
		}
		seen[o.Channel] = true
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("publishing with a new key", "error", err)
	}
}

// firstOfNewKey is a release that only says what has happened: a log without
// one has no head, and the channel would be stale until the next.
func (n *Node) firstOfNewKey(ctx context.Context, id channel.ID, key channel.PrivateKey, emit func(any)) error {
	n.unlock(ctx, id)
	done, err := n.pub.Publish(ctx, publisher.Release{Channel: id, Key: key, Title: "New publishing key"})
	if err != nil {
		return fmt.Errorf("the new key is in force; publishing a first release with it, which says so, failed: %w", err)
	}
	tellUnannounced(emit, id, done.Unannounced)
	return n.own(ctx, id)
}
