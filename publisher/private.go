package publisher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// private is what a release of a private channel needs beside its body.
type private struct {
	key     catalog.ReadKey  // that it is sealed under
	keyring []byte           // of key, to be stored; nil when the store has it
	members []channel.Member // from now on; nil when they stay

	body channel.SealedBody // filled in by manifest
}

// private returns what the next release is sealed under: the newest epoch that
// is known of, the same key for all who know the same. It is nil in a public
// channel.
func (p *Publisher) private(ctx context.Context, info catalog.Info) (*private, error) {
	if info.Root.Class != channel.Private {
		return nil, nil
	}
	e, err := p.epochs(ctx, info)
	if err != nil {
		return nil, err
	}
	key, ok := e.key(e.current())
	if !ok {
		return nil, p.lacksKey(ctx, info.ID, e)
	}
	return p.keyed(ctx, info.ID, e, key)
}

// keyed sees to it that key has a keyring in the store, or makes one.
func (p *Publisher) keyed(ctx context.Context, id channel.ID, e epochs, key catalog.ReadKey) (*private, error) {
	if !key.Keyring.IsZero() {
		has, err := p.cfg.Blobs.Has(ctx, key.Keyring)
		if err != nil {
			return nil, err
		}
		if has[0] {
			return &private{key: key}, nil
		}
		if err := p.Keeps(ctx, id); err != nil {
			return nil, fmt.Errorf("keyring %s: %w; follow the channel to have it", key.Keyring.Short(), ErrMissing)
		}
	}
	if err := e.unchecked(); err != nil && p.Keeps(ctx, id) == nil {
		return nil, err // its keyring would let in who was removed
	}
	members, err := p.memberKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	return ring(id, e.keys, key, members)
}

// ring makes the keyring of a key for these members.
func ring(id channel.ID, keys []catalog.ReadKey, key catalog.ReadKey, members []channel.Member) (*private, error) {
	secrets := channel.Secrets{Title: key.Title}
	below := key.Epoch
	for _, k := range keys { // the newest epoch first
		if k.Epoch > 0 && k.Epoch < below && len(secrets.Previous) < channel.MaxPreviousEpochs {
			below = k.Epoch
			secrets.Previous = append(secrets.Previous, channel.EpochKey{Epoch: k.Epoch, Key: k.Key.Bytes()})
		}
	}
	blob, err := channel.MakeKeyring(id, key.Epoch, key.Key, members, secrets)
	if err != nil {
		return nil, err
	}
	key.Keyring = blobnet.Sum(blob)
	return &private{key: key, keyring: blob}, nil
}

// store puts the keyring of a release into the store and holds it.
func (v *private) store(ctx context.Context, held *held) error {
	if v.keyring != nil {
		if err := held.p.cfg.Blobs.Put(ctx, v.key.Keyring, v.keyring); err != nil {
			return fmt.Errorf("storing the keyring: %w", err)
		}
	}
	if err := held.add(ctx, one(v.key.Keyring)); err != nil {
		return fmt.Errorf("storing the keyring: %w", evicted(err))
	}
	return nil
}

// seal puts what the release says under the read key. m has its place.
func (v *private) seal(m *channel.Manifest) error {
	m.Epoch = v.key.Epoch
	var salt [32]byte
	_, _ = rand.Read(salt[:]) // never fails
	return m.Seal(v.key.Key, v.key.Keyring, salt, v.body)
}

func newReadKey() channel.ReadKey {
	var raw [channel.ReadKeySize]byte
	_, _ = rand.Read(raw[:]) // never fails
	return channel.ReadKeyFrom(raw)
}

// Keeps reports as an error, ErrNotKeeper, if the members of a channel are not kept
// here, but by the node that founded it.
func (p *Publisher) Keeps(ctx context.Context, id channel.ID) error {
	owns, err := p.cfg.Ledger.Owns(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(owns, func(o catalog.Own) bool { return o.Channel == id && o.RootKeyFile != "" }) {
		return ErrNotKeeper
	}
	return nil
}

func (p *Publisher) memberKeys(ctx context.Context, id channel.ID) ([]channel.Member, error) {
	members, err := p.cfg.Ledger.Members(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]channel.Member, len(members))
	for i, m := range members {
		out[i] = m.Key
	}
	return out, nil
}

// MembersSpec changes who can read a private channel.
type MembersSpec struct {
	Channel  channel.ID
	Key      channel.PrivateKey // of a log
	Add      []channel.Member
	Remove   []channel.Member
	NewEpoch bool // begin one, even if nobody is removed: addresses of the old one open nothing new
	Checked  bool // the members that are kept here, so changed, are right: see ErrUnchecked. A new epoch begins
	Mirrors  []string
}

// MembersSet is what came of it.
type MembersSet struct {
	Published        // the release that says nothing; zero if nothing changed
	Epoch     uint64 // in force
	Began     bool   // it began with this
	ReadKey   channel.ReadKey
	Members   int
}

// SetMembers adds and removes members: with a new keyring, and a new epoch when
// somebody is removed. It is announced at once by a release that says nothing,
// so that all others go on in the new epoch. Somebody who is a member already
// is not added again; one to be removed who is none gives ErrNoMember. Who keeps the
// members can begin an epoch also where the key of the newest is not here. As with
// Publish, on an error nothing has changed.
func (p *Publisher) SetMembers(ctx context.Context, spec MembersSpec) (MembersSet, error) {
	for _, m := range spec.Add {
		if err := m.Check(); err != nil {
			return MembersSet{}, err
		}
	}
	set, envelopes, err := p.setMembers(ctx, spec)
	if err != nil || envelopes == nil {
		return set, err
	}
	set.Unannounced = p.broadcast(ctx, spec.Channel, envelopes)
	return set, nil
}

func (p *Publisher) setMembers(ctx context.Context, spec MembersSpec) (MembersSet, [][]byte, error) {
	release, err := p.turns.take(ctx, logKey{spec.Channel, spec.Key.Public()})
	if err != nil {
		return MembersSet{}, nil, err
	}
	defer release()
	info, log, err := p.mayPublish(ctx, spec.Channel, spec.Key.Public())
	if err != nil {
		return MembersSet{}, nil, err
	}
	if info.Root.Class != channel.Private {
		return MembersSet{}, nil, ErrPublic
	}
	if err := p.Keeps(ctx, spec.Channel); err != nil {
		return MembersSet{}, nil, err
	}
	before, err := p.memberKeys(ctx, spec.Channel)
	if err != nil {
		return MembersSet{}, nil, err
	}
	after, err := changed(before, spec)
	if err != nil {
		return MembersSet{}, nil, err
	}
	e, err := p.epochs(ctx, info)
	if err != nil {
		return MembersSet{}, nil, err
	}
	stale := e.unchecked()
	if stale != nil && !spec.Checked {
		return MembersSet{}, nil, stale
	}
	// Whoever may have been let in by a keyring that is not known here is shut out.
	set := MembersSet{Epoch: e.current(), Members: len(after), Began: spec.NewEpoch || len(spec.Remove) > 0 || stale != nil}
	key, has := e.key(set.Epoch)
	if !has && !set.Began {
		return set, nil, p.lacksKey(ctx, spec.Channel, e)
	}
	if !set.Began && len(after) == len(before) {
		set.ReadKey = key.Key
		return set, nil, nil
	}
	if set.Began {
		if set.Epoch == maxEpoch {
			return set, nil, fmt.Errorf("%w: there is no epoch after %d; if no key of yours began it, revoke the one that did (channel-revoke)", channel.ErrLimit, set.Epoch)
		}
		set.Epoch++
		key = catalog.ReadKey{Epoch: set.Epoch, Key: newReadKey(), Title: e.title()}
	}
	set.ReadKey = key.Key
	v, err := ring(spec.Channel, e.keys, key, after)
	if err != nil {
		return set, nil, err
	}
	v.members = after
	held := p.hold()
	r := Release{Channel: spec.Channel, Key: spec.Key, Mirrors: spec.Mirrors}
	published, envelopes, err := p.record(ctx, r, nil, outdated{}, info.Root, log, v, held)
	if err != nil {
		held.drop(ctx)
		return set, nil, err
	}
	p.give(spec.Channel, spec.Key.Public(), published.Seq, published.Hash)
	set.Published = published
	return set, p.withSnapshot(ctx, spec.Channel, spec.Key, published.Seq, envelopes), nil
}

// changed works out the members after a change. It is never nil.
func changed(before []channel.Member, spec MembersSpec) ([]channel.Member, error) {
	after := append([]channel.Member{}, before...)
	for _, m := range spec.Remove {
		i := slices.Index(after, m)
		if i < 0 {
			return nil, fmt.Errorf("removing %s: %w", m.Short(), ErrNoMember)
		}
		after = slices.Delete(after, i, i+1)
	}
	for _, m := range spec.Add {
		if !slices.Contains(after, m) {
			after = append(after, m)
		}
	}
	if len(after) > channel.MaxMembers {
		return nil, fmt.Errorf("%w: %d members, at most %d are allowed", channel.ErrLimit, len(after), channel.MaxMembers)
	}
	return after, nil
}

// One sentinel per decision that a caller makes about private channels.
var (
	// ErrNoReadKey: the read key of the newest epoch is not here. It wraps
	// fs.ErrNotExist.
	ErrNoReadKey error = absent("its read key is not here: follow the channel to have its keyring, or ask to be made a member")

	// ErrNotKeeper: the members of a channel are kept by the node that founded
	// it, and this is another.
	ErrNotKeeper = errors.New("the members of the channel are kept by the node that founded it; this one cannot change them")

	// ErrUnchecked: the newest epoch began elsewhere than in this home, or in a time
	// of which it was restored, and so the members that are kept here may be those
	// of before: somebody who was removed is let in by no keyring that is made of
	// them, until a person has looked (MembersSpec.Checked).
	ErrUnchecked = errors.New("this home has not begun it, or was restored from a backup of before, so that its list may hold members who were removed since, and lack some; see channel-member-list, and say --members-checked with channel-member-remove CHANNEL and the members who had been removed, or with --new-epoch if the list is right")

	// ErrNoMember: somebody who is no member is to be removed. It wraps
	// fs.ErrNotExist.
	ErrNoMember error = absent("no member of the channel")

	// ErrPublic: a public channel has neither members nor read keys.
	ErrPublic = errors.New("the channel is public: everybody reads it")
)
