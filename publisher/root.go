package publisher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// RootChange is what the next root of a channel says differently from the
// newest. The zero value changes nothing.
type RootChange struct {
	AddRootKeys    []channel.PublicKey
	RemoveRootKeys []channel.PublicKey
	Threshold      uint64          // of root keys; if zero, as it was
	Recovery       *channel.KeySet // if nil, as it was
	Title          *string         // if nil, as it was
	Topics         []string        // in normal form; if empty, as they were
	Expires        channel.Time    // if zero, as it was
	Grant          []Grant
	Revoke         []Revocation
}

// Grant lets a key do something, in place of what it may do now. A key that is a
// publisher already keeps what is said to be kept.
type Grant struct {
	channel.Publisher
	KeepName, KeepRole, KeepScopes, KeepExpires bool
}

// names reports whether a grant is about the name of a publisher alone.
func (g Grant) names() bool { return !g.KeepName && g.KeepRole && g.KeepScopes && g.KeepExpires }

// Revocation withdraws a key.
type Revocation struct {
	Key channel.PublicKey
	// LastGood is the number of its last release that counts, 0 for none. If nil,
	// it is the newest that is known here.
	LastGood *uint64
}

// errNamedInClear: like the title, who publishes is not for who has no read key.
var errNamedInClear = impossible("the root of a private channel is in clear, and names nobody")

// ErrPublished: this root is known already, and in force.
var ErrPublished = errors.New("published already")

// DraftRoot drafts the next root of a channel, unsigned. What nobody could
// accept or meet is refused: the error names it, and what to do.
func (p *Publisher) DraftRoot(ctx context.Context, id channel.ID, change RootChange) (channel.RootDraft, error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return channel.RootDraft{}, err
	}
	if !info.HasRoot {
		return channel.RootDraft{}, fmt.Errorf("its root is not known here; %w", ErrNoRoot)
	}
	next, err := p.change(ctx, info, change)
	if err != nil {
		return channel.RootDraft{}, err
	}
	before, err := p.cfg.Ledger.Roots(ctx, id, 1, channel.MaxRootsBefore, math.MaxInt)
	if err != nil {
		return channel.RootDraft{}, err
	}
	return channel.NewRootDraft(before, next)
}

// change applies a change to the newest root.
func (p *Publisher) change(ctx context.Context, info catalog.Info, c RootChange) (channel.Root, error) {
	next := info.Root
	if c.Title != nil && *c.Title != "" && next.Class == channel.Private {
		return channel.Root{}, impossible("the title of a private channel is sealed with its releases, and its root is in clear")
	}
	if c.Title != nil {
		next.Title = *c.Title
	}
	if len(c.Topics) > 0 {
		next.Topics = slices.Compact(slices.Sorted(slices.Values(c.Topics)))
	}
	if c.Recovery != nil {
		next.Recovery = c.Recovery
	}
	if !c.Expires.IsZero() {
		next.Expires = c.Expires
	}
	if p.cfg.Now().After(next.Expires.Time()) {
		return next, fmt.Errorf("%w: the root would be good until %s, which is over; give it another end", channel.ErrExpired, next.Expires)
	}
	var err error
	if next.Root, err = changeKeys(next.Root, c); err != nil {
		return next, err
	}
	next.Publishers, next.Revoked = slices.Clone(next.Publishers), slices.Clone(next.Revoked)
	for _, v := range c.Revoke {
		if err := p.revoke(ctx, info, &next, v); err != nil {
			return next, err
		}
	}
	if n := len(next.Revoked); n > channel.MaxRevoked {
		return next, fmt.Errorf("%w: %d keys of this channel are revoked, and a channel can revoke no more in its life; go on with the keys that it has, or found another channel (channel-create) and name it in a last release of this one", channel.ErrLimit, channel.MaxRevoked)
	}
	for _, g := range c.Grant {
		if err := p.grant(info.Root, &next, g); err != nil {
			return next, err
		}
	}
	return next, nil
}

func changeKeys(s channel.KeySet, c RootChange) (channel.KeySet, error) {
	s.Keys = slices.Clone(s.Keys)
	for _, k := range c.RemoveRootKeys {
		i := slices.Index(s.Keys, k)
		if i < 0 {
			return s, fmt.Errorf("%w: key %s is no root key, and cannot be removed", ErrNoRootKey, k)
		}
		s.Keys = slices.Delete(s.Keys, i, i+1)
	}
	for _, k := range c.AddRootKeys {
		if slices.Contains(s.Keys, k) {
			return s, impossible("key %s is a root key already", k)
		}
		s.Keys = append(s.Keys, k)
	}
	if c.Threshold > 0 {
		s.Threshold = c.Threshold
	}
	switch {
	case len(s.Keys) == 0:
		return s, impossible("no root key is left; add one")
	case s.Threshold > uint64(len(s.Keys)):
		return s, impossible("%d of %d root keys would have to sign, which nobody can; give another threshold", s.Threshold, len(s.Keys))
	}
	return s, nil
}

// grant lets a key do something.
func (p *Publisher) grant(before channel.Root, next *channel.Root, g Grant) error {
	if _, ok := next.RevokedKey(g.Key); ok {
		return impossible("key %s is revoked, and stays so; make another key", g.Key)
	}
	if g.Name != "" && next.Class == channel.Private {
		return errNamedInClear
	}
	if !g.Expires.IsZero() && p.cfg.Now().After(g.Expires.Time()) {
		return fmt.Errorf("%w: the right of key %s would have ended %s", channel.ErrExpired, g.Key, g.Expires)
	}
	g.Scopes = slices.Compact(slices.Sorted(slices.Values(g.Scopes)))
	i, found := slices.BinarySearchFunc(next.Publishers, g.Key, func(p channel.Publisher, k channel.PublicKey) int { return p.Key.Compare(k) })
	if !found {
		next.Publishers = slices.Insert(next.Publishers, i, g.Publisher)
		return nil
	}
	old := next.Publishers[i]
	if g.KeepName {
		g.Name = old.Name
	}
	if g.KeepRole {
		g.Role = old.Role
	}
	if g.KeepScopes && g.Role == channel.RolePublish {
		g.Scopes = old.Scopes
	}
	if g.KeepExpires {
		g.Expires = old.Expires
	}
	switch {
	case g.names() && old.Name == g.Name:
		return fmt.Errorf("%w: key %s is called %q already", ErrUnchanged, g.Key, g.Name)
	case old.Name == g.Name && old.Role == g.Role && old.Expires == g.Expires && slices.Equal(old.Scopes, g.Scopes):
		return fmt.Errorf("%w: key %s may do that already", ErrUnchanged, g.Key)
	case old.Role == channel.RolePublish && g.Role != old.Role:
		return impossible("key %s may publish; revoke it, and let another key sign heads", g.Key)
	}
	next.Publishers[i] = g.Publisher
	if key, what := next.Narrows(before); what != "" {
		return impossible("it %s of the publishing key %s; revoke that key, which says where its log ends, and let in a new one", what, key)
	}
	return nil
}

// revoke withdraws a key: a publishing key with its last good manifest, a head
// key by leaving it out.
func (p *Publisher) revoke(ctx context.Context, info catalog.Info, next *channel.Root, v Revocation) error {
	log := logOf(info, v.Key)
	pub, publishes := info.Root.Publisher(v.Key)
	old, revoked := info.Root.RevokedKey(v.Key)
	without := slices.DeleteFunc(next.Publishers, func(p channel.Publisher) bool { return p.Key == v.Key })
	switch {
	case !publishes && !revoked:
		return fmt.Errorf("%w: key %s, see channel-show", ErrNoPublisher, v.Key)
	case publishes && pub.Role == channel.RoleHead:
		if v.LastGood != nil {
			return impossible("key %s signs heads alone, and has no releases of which one could be the last good", v.Key)
		}
		next.Publishers = without
		return nil
	case v.LastGood == nil && revoked:
		return fmt.Errorf("%w: key %s is revoked already, %safter its release %d; to void more, name the last good one", ErrNoPublisher, v.Key, p.revokedSince(ctx, info, v.Key), old.Seq)
	case revoked && *v.LastGood >= old.Seq:
		return impossible("key %s is revoked after its release %d already; a later one cannot become good", v.Key, old.Seq)
	case v.LastGood == nil && log.Frozen:
		return impossible("the log of key %s is forked; say which release, as it is here, is the last good one: channel-revoke with --last-good", v.Key)
	}
	entry := channel.Revoked{Key: v.Key, Seq: log.Seq, Hash: log.Hash}
	if v.LastGood == nil {
		if err := behindClaim(log); err != nil {
			return err
		}
	} else if err := p.lastGood(ctx, info.ID, log, *v.LastGood, &entry); err != nil {
		return err
	}
	next.Publishers = without
	next.Revoked = slices.DeleteFunc(next.Revoked, func(r channel.Revoked) bool { return r.Key == v.Key })
	next.Revoked = append(next.Revoked, entry)
	slices.SortFunc(next.Revoked, func(a, b channel.Revoked) int { return a.Key.Compare(b.Key) })
	return nil
}

// revokedSince says since which root a key is revoked, if that can be told.
func (p *Publisher) revokedSince(ctx context.Context, info catalog.Info, key channel.PublicKey) string {
	roots, err := p.cfg.Ledger.Roots(ctx, info.ID, 1, channel.MaxRootsBefore, math.MaxInt)
	if err != nil {
		return ""
	}
	for _, data := range roots {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			return ""
		}
		root, err := channel.DecodeRoot(env.Payload)
		if err != nil {
			return ""
		}
		if _, ok := root.RevokedKey(key); ok {
			return fmt.Sprintf("since root version %d, ", root.Version)
		}
	}
	return ""
}

// lastGood looks up the hash of the last good manifest.
func (p *Publisher) lastGood(ctx context.Context, id channel.ID, log catalog.LogInfo, seq uint64, entry *channel.Revoked) error {
	entry.Seq, entry.Hash = seq, channel.Hash{}
	if seq == 0 {
		return nil
	}
	if seq > log.Seq {
		return fmt.Errorf("%w: release %d of key %s, whose log ends here at %d; sync first, or name one that is here", ErrNoRelease, seq, log.Log, log.Seq)
	}
	data, err := p.cfg.Ledger.Manifests(ctx, id, log.Log, seq, seq, 1, math.MaxInt)
	if err != nil {
		return err
	}
	if len(data) != 1 {
		return fmt.Errorf("%w: release %d of key %s", ErrNoRelease, seq, log.Log)
	}
	env, err := channel.DecodeEnvelope(data[0])
	if err != nil {
		return err
	}
	entry.Hash = env.Hash()
	return nil
}

// PublishRoot puts a draft that enough have signed into force: it is on disk
// when PublishRoot returns nil or unannounced is not nil, which is why the
// broadcast failed. own, if it is not nil, is recorded in the same transaction.
// Without enough signatures the error wraps channel.ErrNotAuthorized and says
// whose are missing; a draft that does not follow the newest root gives
// channel.ErrChain, one that is that root ErrPublished, after telling others of
// it again. A root that this home may lack gives ErrBehind.
func (p *Publisher) PublishRoot(ctx context.Context, d channel.RootDraft, own *catalog.Own) (unannounced, err error) {
	env, err := d.Envelope()
	if err != nil {
		return nil, err
	}
	payload, err := d.Root.Encode()
	if err != nil {
		return nil, err
	}
	hash := channel.HashPayload(payload)
	if err := p.appendRoot(ctx, d, env, hash, own); err != nil {
		if errors.Is(err, ErrPublished) {
			return p.broadcast(ctx, d.Channel, [][]byte{env}), err
		}
		return nil, err
	}
	return p.broadcast(ctx, d.Channel, [][]byte{env}), nil
}

// appendRoot records the root, in the turn of the channel's roots.
func (p *Publisher) appendRoot(ctx context.Context, d channel.RootDraft, env []byte, hash channel.Hash, own *catalog.Own) error {
	release, err := p.turns.take(ctx, logKey{channel: d.Channel})
	if err != nil {
		return err
	}
	defer release()
	version, newest, err := p.newest(ctx, d.Channel, theRoot)
	if err != nil {
		return err
	}
	switch {
	case version >= d.Root.Version && newest == hash:
		return fmt.Errorf("root version %d: %w", version, ErrPublished)
	case version >= d.Root.Version:
		return fmt.Errorf("%w: the draft is of root version %d, and version %d is known; draft it again", channel.ErrChain, d.Root.Version, version)
	case version < d.Root.Version-1 || newest != *d.Root.Prev:
		return fmt.Errorf("%w: the draft follows a root version %d that is not known here; sync with a follower first", channel.ErrChain, d.Root.Version-1)
	}
	if err := p.doubt(d.Channel, theRoot, version, newest); err != nil {
		return err
	}
	if own != nil {
		err = p.cfg.Ledger.Found(ctx, *own, env)
	} else {
		err = p.cfg.Ledger.Append(ctx, env)
	}
	if err != nil {
		return fmt.Errorf("recording root version %d: %w", d.Root.Version, err)
	}
	p.give(d.Channel, theRoot, d.Root.Version, hash)
	return nil
}
