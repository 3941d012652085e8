package publisher

import (
	"context"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// maxEpoch is the greatest number of an epoch.
const maxEpoch = 1<<63 - 1

// maxLeap is how far an epoch of a key that may not publish any more can be beyond
// those of others and still counts: no channel removes members so often, and a
// thief's key, once it is revoked, cannot use up the numbers.
const maxLeap = 1 << 20

// epochs is what is known here of the epochs of a private channel.
type epochs struct {
	newest uint64            // that counts; 0 if none is known of
	listed uint64            // that the kept members are of; 0 where none are kept
	keys   []catalog.ReadKey // the newest epoch first
}

// epochs finds the newest epoch. All count that were begun by keys that may publish, or
// here. Those of other logs, as far as these stand, and of read keys count within
// bounds: the log that an epoch began with may have been ended since, by a rotation
// say, and who was removed then stays so.
func (p *Publisher) epochs(ctx context.Context, info catalog.Info) (e epochs, err error) {
	if e.keys, err = p.cfg.Ledger.ReadKeys(ctx, info.ID); err != nil {
		return e, err
	}
	if e.listed, err = p.cfg.Ledger.MembersEpoch(ctx, info.ID); err != nil {
		return e, err
	}
	e.newest = e.listed
	var others []uint64
	for _, l := range info.Logs {
		if l.Publishes {
			e.newest = max(e.newest, l.Epoch)
		} else {
			others = append(others, l.Epoch)
		}
	}
	for _, k := range e.keys {
		others = append(others, k.Epoch)
	}
	bound := min(max(1, e.newest), maxEpoch-maxLeap) + maxLeap
	for _, epoch := range others {
		if epoch <= bound {
			e.newest = max(e.newest, epoch)
		}
	}
	return e, nil
}

// current is the epoch that a release is sealed in.
func (e epochs) current() uint64 { return max(1, e.newest) }

// key finds the read key of an epoch: one that has a keyring, if any does.
func (e epochs) key(epoch uint64) (catalog.ReadKey, bool) {
	i := slices.IndexFunc(e.keys, func(k catalog.ReadKey) bool { return k.Epoch == epoch && !k.Keyring.IsZero() })
	if i < 0 { // a channel that was just founded has no keyring yet
		i = slices.IndexFunc(e.keys, func(k catalog.ReadKey) bool { return k.Epoch == epoch })
	}
	if i < 0 {
		return catalog.ReadKey{}, false
	}
	return e.keys[i], true
}

// title is the channel's, as the newest keyring here has it.
func (e epochs) title() string {
	for _, k := range e.keys {
		if k.Epoch <= e.current() && k.Title != "" {
			return k.Title
		}
	}
	return ""
}

// unchecked is ErrUnchecked with its words if the kept members are of an epoch before
// the newest.
func (e epochs) unchecked() error {
	if e.listed >= e.current() {
		return nil
	}
	return fmt.Errorf("epoch %d has begun, and the members kept here are those of epoch %d: %w", e.current(), e.listed, ErrUnchecked)
}

// lacksKey says that the read key of the newest epoch is not here: ErrNoReadKey.
func (p *Publisher) lacksKey(ctx context.Context, id channel.ID, e epochs) error {
	if p.Keeps(ctx, id) == nil {
		return fmt.Errorf("epoch %d: %w", e.current(), errKeeperLacks)
	}
	return fmt.Errorf("epoch %d: %w", e.current(), ErrNoReadKey)
}

// errKeeperLacks is ErrNoReadKey where the members are kept: nobody else can help.
var errKeeperLacks error = keeperLacks("its read key is not here, as after a restore from a backup of before: begin the next epoch with channel-member-remove CHANNEL --new-epoch --members-checked, after a look at channel-member-list, which may hold members who were removed since")

type keeperLacks string

func (k keeperLacks) Error() string { return string(k) }
func (keeperLacks) Unwrap() error   { return ErrNoReadKey }

// MembersEpoch returns the newest epoch of a private channel, and the one that the
// members which are kept here are of: if that is older, they are not changed before a
// person has looked at them (ErrUnchecked).
func (p *Publisher) MembersEpoch(ctx context.Context, id channel.ID) (newest, listed uint64, err error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	e, err := p.epochs(ctx, info)
	return e.current(), e.listed, err
}

// CanSeal reports as an error, ErrNoReadKey, if the next release of a channel has no
// key that it could be sealed under. A public channel needs none.
func (p *Publisher) CanSeal(ctx context.Context, id channel.ID) error {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil || info.Root.Class != channel.Private {
		return err
	}
	e, err := p.epochs(ctx, info)
	if err != nil {
		return err
	}
	if _, ok := e.key(e.current()); !ok {
		return p.lacksKey(ctx, id, e)
	}
	return nil
}

// ReadKey returns the read key of the newest epoch that is known of a private
// channel: what an address of it carries. ErrNoReadKey if it is not here.
func (p *Publisher) ReadKey(ctx context.Context, id channel.ID) (channel.ReadKey, error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return channel.ReadKey{}, err
	}
	if info.Root.Class != channel.Private {
		return channel.ReadKey{}, ErrPublic
	}
	e, err := p.epochs(ctx, info)
	if err != nil {
		return channel.ReadKey{}, err
	}
	key, ok := e.key(e.newest) // 0: of the address, when nothing was released yet
	if !ok {
		return channel.ReadKey{}, p.lacksKey(ctx, id, e)
	}
	return key.Key, nil
}
