package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
)

// ChangeRoot makes the next root of a channel. With the root keys that it needs
// at hand it is signed and in force when ChangeRoot returns; with Draft it is
// handed back, to be signed elsewhere.
func (n *Node) ChangeRoot(ctx context.Context, req RootRequest, emit func(any)) (RootResult, error) {
	if err := n.meet(ctx, req.Peers); err != nil {
		return RootResult{}, err
	}
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return RootResult{}, err
	}
	c, err := n.rootChange(info, req)
	if err != nil {
		return RootResult{}, err
	}
	var turn *rotation
	if req.Rotate != nil {
		if turn, err = n.rotation(ctx, info, *req.Rotate); err != nil {
			return RootResult{}, err
		}
		c.Revoke = append(c.Revoke, publisher.Revocation{Key: turn.old.Key})
	}
	if err := n.currentRoot(ctx, info, req, c, emit); err != nil {
		return RootResult{}, err
	}
	if turn != nil {
		// What others had may have changed what the old key may do.
		if info, err = n.catalog.Channel(ctx, info.ID); err != nil {
			return RootResult{}, err
		}
		if err := n.mayRotate(ctx, info.ID, req); err != nil {
			return RootResult{}, err
		}
		if !turn.spare {
			n.pub.Made(info.ID, turn.key.Public())
		}
		if err := turn.make(info.Root); err != nil {
			return RootResult{}, err
		}
		c.Grant = append(c.Grant, publisher.Grant{Publisher: turn.grant})
	}
	res, err := n.draftAndPublish(ctx, info.ID, req, c, turn, emit)
	if err != nil && turn != nil {
		err = errors.Join(err, turn.undo())
	}
	return res, err
}

func (n *Node) draftAndPublish(ctx context.Context, id channel.ID, req RootRequest, c publisher.RootChange, turn *rotation, emit func(any)) (RootResult, error) {
	d, err := n.pub.DraftRoot(ctx, id, c)
	switch {
	case errors.Is(err, publisher.ErrUnchanged) && onlyGrants(c):
		info, err := n.catalog.Channel(ctx, id)
		return RootResult{Address: address(id), Channel: id.String(), Root: info.Root.Version, Expires: info.Root.Expires, Changes: []string{}, Missing: []string{}, Unchanged: true}, err
	case errors.Is(err, publisher.ErrImpossible) || errors.Is(err, channel.ErrMalformed) || errors.Is(err, channel.ErrLimit): // the roots that are here are good
		return RootResult{}, badRequest("drafting the next root of %s: %w", address(id), err)
	case err != nil:
		return RootResult{}, fmt.Errorf("drafting the next root of %s: %w", address(id), err)
	}
	if d, err = n.sign(ctx, d, req); err != nil {
		return RootResult{}, err
	}
	res, err := describeDraft(d)
	if err != nil {
		return RootResult{}, err
	}
	if turn != nil {
		res.Key, res.KeyFile = &turn.grant.Key, turn.file
	}
	if req.Draft {
		if len(c.Revoke) > 0 {
			res.Changes = append(res.Changes, "beware: what a key that is revoked publishes before this is in force will not count; let it rest")
		}
		res.Draft = &d
		return res, nil
	}
	if len(res.Missing) > 0 {
		_, err := d.Envelope()
		return RootResult{}, fmt.Errorf("%w; name root keys with -k, or write a draft with -o draft.json, have it signed with channel-root-sign, and publish it with channel-root-publish", err)
	}
	var own *catalog.Own
	if turn != nil {
		own = &turn.own
	}
	unannounced, err := n.pub.PublishRoot(ctx, d, own)
	if err != nil {
		return RootResult{}, fmt.Errorf("publishing the next root of %s: %w", address(id), err)
	}
	if turn != nil {
		turn.done = true
	}
	res.Published = true
	tellUnannounced(emit, id, unannounced)
	if turn != nil {
		return res, n.firstOfNewKey(ctx, id, turn.key, emit)
	}
	return res, nil
}

// onlyGrants reports whether a change does nothing but let one key do something.
func onlyGrants(c publisher.RootChange) bool {
	return len(c.Grant) == 1 && len(c.AddRootKeys)+len(c.RemoveRootKeys)+len(c.Topics)+len(c.Revoke) == 0 &&
		c.Threshold == 0 && c.Recovery == nil && c.Title == nil && c.Expires.IsZero()
}

// tellUnannounced says that followers were not told; they sync.
func tellUnannounced(emit func(any), id channel.ID, err error) {
	if err != nil {
		emit(ErrorEvent{Event: "error", Channel: id.String(), Message: "telling followers: " + err.Error(), Retry: true})
	}
}

// describeDraft says what a draft changes and what it lacks.
func describeDraft(d channel.RootDraft) (RootResult, error) {
	prev, err := d.Previous()
	if err != nil {
		return RootResult{}, err
	}
	missing, err := d.Missing()
	if err != nil {
		return RootResult{}, err
	}
	if missing == nil {
		missing = []string{}
	}
	return RootResult{
		Address: address(d.Channel), Channel: d.Channel.String(), Root: d.Root.Version,
		Expires: d.Root.Expires, Changes: channel.Changes(prev, d.Root), Missing: missing,
	}, nil
}

// CheckPublisherName says what is wrong with a name of a publisher that somebody gave.
func CheckPublisherName(name string) error {
	if err := channel.CheckPublisherName(name); err != nil {
		return badRequest("%w", err)
	}
	return nil
}

// rootChange reads what a request asks for.
func (n *Node) rootChange(info catalog.Info, req RootRequest) (publisher.RootChange, error) {
	now := time.Now()
	c := publisher.RootChange{
		AddRootKeys: req.AddRootKeys, RemoveRootKeys: req.RemoveRootKeys, Threshold: req.Threshold, Recovery: req.Recovery, Title: req.Title,
	}
	private := info.HasRoot && info.Root.Class == channel.Private
	if req.Title != nil && *req.Title != "" && private {
		return c, badRequest("the title of a private channel is sealed with its releases, and its root is in clear")
	}
	if req.Title != nil {
		if err := checkWords(*req.Title, ""); err != nil {
			return c, err
		}
	}
	var err error
	if c.Expires, err = parseWhen("--expires", req.Expires, now); err != nil {
		return c, err
	}
	for _, t := range req.Topics {
		topic, err := channel.NormalizeTopic(t)
		if err != nil {
			return c, badRequest("%w", err)
		}
		c.Topics = append(c.Topics, topic)
	}
	if d := req.Delegate; d != nil {
		g := publisher.Grant{Publisher: channel.Publisher{Key: d.Key, Role: d.Role, Scopes: d.Scopes},
			KeepName: d.Name == nil, KeepRole: d.Role == "", KeepScopes: len(d.Scopes) == 0, KeepExpires: d.Expires == ""}
		if slices.Equal(d.Scopes, []string{""}) {
			g.Scopes = nil
		}
		if d.Name != nil {
			g.Name = *d.Name
			if err := CheckPublisherName(g.Name); err != nil {
				return c, err
			}
			_, known := info.Root.Publisher(d.Key)
			switch {
			case g.Name != "" && private:
				return c, badRequest("the root of a private channel is in clear, and names nobody")
			case g.Name == "" && !known:
				return c, badRequest("the name is empty, and key %s is not let in yet, so there is none to take away", d.Key)
			}
		}
		switch g.Role {
		case "":
			g.Role = channel.RolePublish
		case channel.RolePublish:
		case channel.RoleHead:
			if len(g.Scopes) > 0 {
				return c, badRequest("--scope goes with the role publish; a head names no paths")
			}
		default:
			return c, badRequest("role %q: want publish or head", d.Role)
		}
		for _, s := range g.Scopes {
			if err := channel.ValidName(s); err != nil {
				return c, badRequest("scope: %w", err)
			}
		}
		if d.Expires != "never" {
			if g.Expires, err = parseWhen("--expires", d.Expires, now); err != nil {
				return c, err
			}
		}
		c.Grant = append(c.Grant, g)
	}
	if v := req.Revoke; v != nil {
		c.Revoke = append(c.Revoke, publisher.Revocation{Key: v.Key, LastGood: v.LastGood})
	}
	return c, nil
}

// currentRoot makes sure that this home knows the newest root, and all that its
// own logs have given out which the root is to end.
func (n *Node) currentRoot(ctx context.Context, info catalog.Info, req RootRequest, c publisher.RootChange, emit func(any)) error {
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return err
	}
	var keys []channel.PublicKey
	if !req.Draft { // a draft is held against the newest root when it is published
		keys = append(keys, theRoot)
	}
	for _, v := range c.Revoke {
		// The only holder ends a log where it ends here, even if it lacks something.
		if v.LastGood != nil || req.OnlyHolder || !mayPublish(info.Root, v.Key) {
			continue
		}
		if req.Rotate != nil || slices.ContainsFunc(owns, func(o catalog.Own) bool { return o.Channel == info.ID && o.Key == v.Key }) {
			keys = append(keys, v.Key)
		}
	}
	return n.current(ctx, enquiry{info.ID, req.OnlyHolder, req.Peers, emit}, keys...)
}

// sign signs with the keys that a request names, or with those of this home
// that are root keys.
func (n *Node) sign(ctx context.Context, d channel.RootDraft, req RootRequest) (channel.RootDraft, error) {
	if len(req.RootKeys) > 0 || req.Draft {
		d, err := publisher.SignDraft(d, n.keyFiles, req.RootKeys...)
		return d, badKey(err)
	}
	prev, err := d.Previous()
	if err != nil {
		return d, err
	}
	held := n.keys()
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return d, err
	}
	for _, o := range owns {
		if key, err := n.keyFiles.Load(o.RootKeyFile); o.Channel == d.Channel && err == nil {
			held = append(held, heldKey{key, o.RootKeyFile})
		}
	}
	for _, k := range held {
		if slices.Contains(prev.Root.Keys, k.Public()) || slices.Contains(d.Root.Root.Keys, k.Public()) {
			if d, err = d.Sign(k.PrivateKey); err != nil {
				return d, fmt.Errorf("signing with %s: %w", k.file, err)
			}
		}
	}
	return d, nil
}

// PublishRoot puts a draft that enough have signed into force.
func (n *Node) PublishRoot(ctx context.Context, req PublishRootRequest, emit func(any)) (RootResult, error) {
	d, err := joinDrafts(req.Drafts)
	if err != nil {
		return RootResult{}, err
	}
	if err := n.meet(ctx, req.Peers); err != nil {
		return RootResult{}, err
	}
	info, err := n.catalog.Channel(ctx, d.Channel)
	if err != nil || !info.HasRoot {
		return RootResult{}, fmt.Errorf("publishing the next root of %s: %w: the channel is not known here; follow it first (channel-subscribe), or publish where it is", address(d.Channel), catalog.ErrUnknown)
	}
	res, err := describeDraft(d)
	if err != nil {
		return RootResult{}, err
	}
	if len(res.Missing) > 0 && info.Root.Version >= d.Root.Version { // no signature would help
		return RootResult{}, fmt.Errorf("publishing the next root of %s: %w: the draft is of root version %d, and version %d is known; draft it again (channel-root-draft)", address(d.Channel), channel.ErrChain, d.Root.Version, info.Root.Version)
	}
	if len(res.Missing) == 0 {
		if err := n.current(ctx, enquiry{d.Channel, req.OnlyHolder, req.Peers, emit}, theRoot); err != nil {
			return RootResult{}, err
		}
		if err := n.pub.Voids(ctx, d); err != nil && !req.Void {
			return RootResult{}, fmt.Errorf("publishing the next root of %s: %w. Draft it again, so that they count; or, if that is what is meant, say --void", address(d.Channel), err)
		}
	}
	unannounced, err := n.pub.PublishRoot(ctx, d, nil)
	if errors.Is(err, publisher.ErrPublished) {
		res.Changes, res.Already, err = []string{}, true, nil
	}
	if err != nil {
		return RootResult{}, fmt.Errorf("publishing the next root of %s: %w", address(d.Channel), err)
	}
	tellUnannounced(emit, d.Channel, unannounced)
	res.Published = true
	return res, n.succeed(ctx, d.Channel, emit)
}

// joinDrafts reads copies of one root draft.
func joinDrafts(docs []Document) (channel.RootDraft, error) {
	texts := make([]publisher.DraftText, len(docs))
	for i, d := range docs {
		texts[i] = publisher.DraftText(d)
	}
	d, err := publisher.JoinDrafts(texts...)
	return d, badDocument(err, wantRoot)
}
