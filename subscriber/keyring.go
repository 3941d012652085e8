package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// learn finds the read key of a lock, in keys or in its keyring, and all that
// comes with it. A key that is known needs no keyring, but for the newest one:
// that has the title, those before, and is what a publisher names.
func (u *unlocker) learn(ctx context.Context, keys []catalog.ReadKey, l lock, newest bool) (bool, error) {
	m := l.sample.Manifest
	found := catalog.ReadKey{Epoch: m.Epoch}
	patience := u.cfg.ProbeTimeout
	for _, k := range keys {
		if k.Epoch != m.Epoch && k.Epoch != 0 || !fits(m, k.Key) {
			continue
		}
		if k.Epoch != 0 && (!newest || k.Keyring == l.keyring) {
			return false, nil
		}
		if found.Key = k.Key; k.Epoch != 0 {
			patience = min(patience, knownPatience)
		}
		break
	}
	if found.Key.IsZero() && (u.member.IsZero() || u.vain[l.keyring] || u.trials <= 0) {
		return false, nil
	}
	blob, err := u.cfg.Swarm.Fetch(ctx, fetch.Want{ID: l.keyring, Class: blobnet.Foreground, Patience: patience}, nil)
	if err != nil && (found.Key.IsZero() || !errors.Is(err, blobnet.ErrNotFound)) {
		return false, fmt.Errorf("keyring of epoch %d: %w", m.Epoch, err)
	}
	var secrets channel.Secrets
	if err == nil {
		secrets, err = u.unring(blob, &found, m)
	}
	if err != nil && found.Key.IsZero() { // of no use to this member, or to nobody
		u.vain[l.keyring] = true
		return false, nil
	}
	// Where the keyring is not to be had, or is broken, the key is right all the
	// same, since it opens a release; see before.
	found.Keyring, found.Title = l.keyring, secrets.Title
	return true, u.keep(ctx, found, secrets)
}

func (u *unlocker) keep(ctx context.Context, key catalog.ReadKey, secrets channel.Secrets) error {
	all := []catalog.ReadKey{key}
	for _, p := range secrets.Previous {
		all = append(all, catalog.ReadKey{Epoch: p.Epoch, Key: p.ReadKey()})
	}
	return u.cfg.Ledger.Learn(ctx, u.id, all...)
}

// before looks once more for the keyring of the newest epoch that is known,
// where what is sealed is of epochs before: it was not to be had when the key
// was learned.
func (u *unlocker) before(ctx context.Context, keys []catalog.ReadKey, newest lock) error {
	if len(keys) == 0 || keys[0].Epoch <= newest.sample.Manifest.Epoch || keys[0].Keyring.IsZero() || u.vain[keys[0].Keyring] {
		return nil
	}
	key := keys[0]
	blob, err := u.cfg.Swarm.Fetch(ctx, fetch.Want{ID: key.Keyring, Class: blobnet.Foreground, Patience: u.cfg.ProbeTimeout}, nil)
	if errors.Is(err, blobnet.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keyring of epoch %d: %w", key.Epoch, err)
	}
	u.vain[key.Keyring] = true // whatever it is, a second look gives no more
	ring, err := channel.DecodeKeyring(blob)
	if err != nil {
		return nil
	}
	secrets, err := ring.Open(u.id, key.Epoch, key.Key)
	if err != nil {
		return nil
	}
	key.Title = secrets.Title
	return u.keep(ctx, key, secrets)
}

// knownPatience is how long a keyring is looked for whose read key is known.
const knownPatience = time.Second

// unring opens a keyring with the key that was found, or finds it as a member.
func (u *unlocker) unring(blob []byte, found *catalog.ReadKey, m channel.Manifest) (channel.Secrets, error) {
	ring, err := channel.DecodeKeyring(blob)
	if err != nil {
		return channel.Secrets{}, err
	}
	if !found.Key.IsZero() {
		return ring.Open(u.id, m.Epoch, found.Key)
	}
	u.trials -= len(ring.Boxes)
	key, secrets, err := ring.Find(u.id, m.Epoch, u.member)
	if err == nil {
		found.Key = key
	}
	return secrets, err
}

// fits reports whether key is the one that m is sealed under, whatever is in it.
func fits(m channel.Manifest, key channel.ReadKey) bool {
	_, err := m.Unseal(key)
	return !errors.Is(err, channel.ErrReadKey)
}
