package subscriber

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Keys is where read keys are kept, and what they open. *catalog.Catalog is one.
type Keys interface {
	ReadKeys(ctx context.Context, id channel.ID) ([]catalog.ReadKey, error)
	Learn(ctx context.Context, id channel.ID, keys ...catalog.ReadKey) error
	Sealed(ctx context.Context, id channel.ID, after int64, limit int) ([]catalog.Release, error)
	Unseal(ctx context.Context, id channel.ID, opened ...catalog.Opened) error
}

// Unlock opens what is sealed in a private channel as far as the read keys that
// are known, the keyrings that can be had, and the member key allow.
func (s *Subscriber) Unlock(ctx context.Context, id channel.ID) error {
	return newUnlocker(s.cfg, id).run(ctx)
}

// unlocker opens one channel's sealed releases. It remembers which keyrings
// were of no use, so that a node that cannot read a channel does little for
// every release that comes.
type unlocker struct {
	cfg    Config
	id     channel.ID
	after  int64               // releases up to here were looked at, with keys
	keys   int                 // how many were known then
	vain   map[blobnet.ID]bool // keyrings in which the member key finds nothing
	gone   map[blobnet.ID]bool // those that were not to be had
	limit  int                 // boxes that one run tries
	trials int                 // those that may still be tried in this run
	keyed  bool                // some read key is known
	member channel.MemberKey
}

func newUnlocker(cfg Config, id channel.ID) *unlocker {
	return &unlocker{cfg: cfg, id: id, vain: map[blobnet.ID]bool{}, gone: map[blobnet.ID]bool{}, limit: maxTrials}
}

// lock is a keyring that sealed releases name.
type lock struct {
	keyring blobnet.ID
	sample  catalog.Release // the newest that names it
}

// run finds keys first, the newest first, since they bring those before them,
// and then opens releases in their order.
func (u *unlocker) run(ctx context.Context) error {
	keys, err := u.cfg.Ledger.ReadKeys(ctx, u.id)
	if err != nil {
		return err
	}
	member, err := u.cfg.Member()
	if err != nil {
		return err
	}
	if u.keyed = len(keys) > 0; !u.keyed && member.IsZero() {
		return nil // a blind mirror
	}
	if len(keys) != u.keys || member.IsZero() != u.member.IsZero() {
		u.after, u.keys, u.member = 0, len(keys), member
	}
	locks, last, err := u.locks(ctx)
	if err != nil || len(locks) == 0 {
		return err
	}
	u.trials = u.limit
	if err := u.before(ctx, keys, locks[0]); err != nil {
		return err
	}
	if keys, err = u.cfg.Ledger.ReadKeys(ctx, u.id); err != nil {
		return err
	}
	for i, l := range locks {
		if i > 0 && u.gone[l.keyring] {
			continue
		}
		learned, err := u.learn(ctx, keys, l, i == 0)
		if err == nil {
			delete(u.gone, l.keyring)
		}
		switch {
		case errors.Is(err, blobnet.ErrNotFound):
			u.gone[l.keyring] = true
		case err != nil:
			return err
		case learned:
			if keys, err = u.cfg.Ledger.ReadKeys(ctx, u.id); err != nil {
				return err
			}
		}
	}
	u.keyed = len(keys) > 0
	if len(keys) != u.keys { // what was looked at without those that were learned just now
		u.after = 0
	}
	if err := u.open(ctx, keys); err != nil {
		return err
	}
	if len(u.gone) == 0 && u.trials > 0 {
		u.after, u.keys = last, len(keys)
	}
	return nil
}

// wait looks once more whether r, which was sealed when it was read, can be
// opened. opened says that it has been, and comes again as news. The error is
// that its keyring, which might open it, is not to be had: unless others follow
// it, that is worth waiting for.
func (u *unlocker) wait(ctx context.Context, r catalog.Release) (opened bool, err error) {
	if err := u.run(ctx); err != nil {
		return false, err
	}
	still, err := u.cfg.Ledger.Sealed(ctx, u.id, r.Position-1, 1)
	if err != nil || len(still) == 0 || still[0].Hash != r.Hash {
		return err == nil, err
	}
	s, err := channel.DecodeSealed(r.Manifest.Sealed)
	if err != nil || !u.gone[s.Keyring] {
		return false, nil
	}
	later, err := u.cfg.Ledger.Releases(ctx, u.id, r.Position, 1)
	if err != nil || len(later) > 0 {
		return false, err
	}
	return false, fmt.Errorf("keyring of epoch %d: %w", r.Manifest.Epoch, blobnet.ErrNotFound)
}

// locks returns the keyrings of sealed releases, those of the newest epoch
// first, and how far it looked.
func (u *unlocker) locks(ctx context.Context) (locks []lock, last int64, err error) {
	found := map[blobnet.ID]int{}
	err = u.sealed(ctx, func(r catalog.Release) error {
		last = r.Position
		s, err := channel.DecodeSealed(r.Manifest.Sealed)
		if err != nil {
			return nil // open refuses it
		}
		if i, ok := found[s.Keyring]; ok {
			locks[i].sample = r
			return nil
		}
		if len(locks) == maxKeyrings {
			locks = slices.Delete(locks, 0, 1)
			clear(found)
			for i, l := range locks {
				found[l.keyring] = i
			}
		}
		found[s.Keyring] = len(locks)
		locks = append(locks, lock{s.Keyring, r})
		return nil
	})
	slices.SortFunc(locks, func(a, b lock) int {
		return cmp.Or(cmp.Compare(b.sample.Manifest.Epoch, a.sample.Manifest.Epoch), cmp.Compare(b.sample.Position, a.sample.Position))
	})
	return locks, last, err
}

// maxKeyrings is how many keyrings, the last ones, one run looks at: any one
// brings the keys of what came before it.
const maxKeyrings = 256

// maxTrials is how many boxes one run tries a member key on: some seconds of
// work, which whoever signs releases could otherwise make more of at will.
const maxTrials = 4096

// sealed goes through the releases that are sealed here, after those that were
// looked at in vain.
func (u *unlocker) sealed(ctx context.Context, do func(catalog.Release) error) error {
	for after := u.after; ; {
		page, err := u.cfg.Ledger.Sealed(ctx, u.id, after, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.Position
			if err := do(r); err != nil {
				return err
			}
		}
	}
}

// open opens the releases for which there is a key. One whose signer broke a
// rule in it is refused for good.
func (u *unlocker) open(ctx context.Context, keys []catalog.ReadKey) error {
	var opened []catalog.Opened
	flush := func() error {
		some := opened
		opened = nil
		if len(some) == 0 {
			return nil
		}
		return u.cfg.Ledger.Unseal(ctx, u.id, some...)
	}
	err := u.sealed(ctx, func(r catalog.Release) error {
		for _, k := range keys {
			if k.Epoch != r.Manifest.Epoch {
				continue
			}
			body, err := r.Manifest.Unseal(k.Key)
			if errors.Is(err, channel.ErrReadKey) {
				continue
			}
			if err != nil {
				return u.cfg.Ledger.RefuseBody(ctx, u.id, r.Hash, err.Error())
			}
			opened = append(opened, catalog.Opened{Manifest: r.Hash, Body: body})
			break
		}
		if len(opened) < openBatch {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// openBatch is how many releases are opened in one transaction.
const openBatch = 64
