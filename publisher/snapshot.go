package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// SnapshotEvery is how many releases a log goes on for until its next snapshot.
const SnapshotEvery = 256

// Shelf is where snapshots of own logs are kept, and what they are made of.
// *catalog.Catalog is one. Live is which manifests of a log count, in order, up to
// its newest; if some of the log are missing it wraps catalog.ErrOwed.
type Shelf interface {
	Live(ctx context.Context, id channel.ID, log channel.PublicKey) ([]channel.Live, error)
	AppendSnapshot(ctx context.Context, envelope []byte, pages [][]byte) error
}

// Snapshot signs a snapshot of the key's log at its newest release, unless there
// is one, and tells the network of it: who joins late leaves out the releases that
// do not count any more, and mirrors may drop what these list. Publish does so by
// itself every SnapshotEvery releases; who has taken something back wants it at
// once. A log that is not wholly here, or in doubt, gets none.
func (p *Publisher) Snapshot(ctx context.Context, id channel.ID, key channel.PrivateKey) error {
	envelope, err := p.appendSnapshot(ctx, id, key, 1)
	if err != nil {
		return fmt.Errorf("making a snapshot of %s: %w", channel.Address{ID: id}, err)
	}
	if envelope == nil {
		return nil
	}
	return p.broadcast(ctx, id, [][]byte{envelope})
}

// Snapshots makes the snapshots of own logs that are due: those that a stop kept
// from being made.
func (p *Publisher) Snapshots(ctx context.Context) error {
	owns, err := p.cfg.Ledger.Owns(ctx)
	if err != nil {
		return fmt.Errorf("listing own channels: %w", err)
	}
	var errs []error
	for _, own := range owns {
		if err := p.dueSnapshot(ctx, own); err != nil {
			errs = append(errs, fmt.Errorf("making a snapshot of %s: %w", channel.Address{ID: own.Channel}, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) dueSnapshot(ctx context.Context, own catalog.Own) error {
	info, err := p.cfg.Ledger.Channel(ctx, own.Channel)
	if err != nil || !snapshotDue(logOf(info, own.Key), SnapshotEvery) {
		return err
	}
	key, err := p.cfg.Keys.Load(own.KeyFile)
	if err != nil {
		return err
	}
	if key.Public() != own.Key {
		return fmt.Errorf("%w: %s holds key %s, want %s", channel.ErrNotAuthorized, own.KeyFile, key.Public().Short(), own.Key.Short())
	}
	envelope, err := p.appendSnapshot(ctx, own.Channel, key, SnapshotEvery)
	if err != nil || envelope == nil {
		return err
	}
	return p.broadcast(ctx, own.Channel, [][]byte{envelope})
}

// snapshotDue reports whether a log has gone on by so many releases since its
// newest snapshot, and may have another.
func snapshotDue(log catalog.LogInfo, after uint64) bool {
	return log.Publishes && !log.Frozen && log.Owed == 0 && log.Claimed <= log.Seq && log.Seq >= log.Snapshot+after
}

// withSnapshot makes the snapshot that a new release makes due, if one, for who
// has the log's turn, and adds it to the release's envelopes. The release stands: a
// snapshot that could not be made is made later.
func (p *Publisher) withSnapshot(ctx context.Context, id channel.ID, key channel.PrivateKey, seq uint64, envelopes [][]byte) [][]byte {
	if seq%SnapshotEvery != 0 {
		return envelopes
	}
	if snapshot, err := p.takeSnapshot(ctx, id, key, 1); err == nil && snapshot != nil {
		return append(envelopes, snapshot)
	}
	return envelopes
}

// appendSnapshot records a snapshot in the log's turn, and returns it encoded, nil
// if none is due.
func (p *Publisher) appendSnapshot(ctx context.Context, id channel.ID, key channel.PrivateKey, after uint64) ([]byte, error) {
	release, err := p.turns.take(ctx, logKey{id, key.Public()})
	if err != nil {
		return nil, err
	}
	defer release()
	return p.takeSnapshot(ctx, id, key, after)
}

// takeSnapshot is appendSnapshot for who has the log's turn.
func (p *Publisher) takeSnapshot(ctx context.Context, id channel.ID, key channel.PrivateKey, after uint64) ([]byte, error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return nil, err
	}
	log := logOf(info, key.Public())
	if !snapshotDue(log, after) || info.RootExpired || log.Seq > channel.MaxPages*channel.PageSpan {
		return nil, nil
	}
	if p.doubt(id, key.Public(), log.Seq, log.Hash) != nil {
		return nil, nil // what may not be all of it must not be called what counts
	}
	live, err := p.cfg.Ledger.Live(ctx, id, key.Public())
	if err != nil {
		return nil, err
	}
	refs, pages, err := channel.MakePages(log.Seq, live)
	if err != nil {
		return nil, err
	}
	env, err := channel.Snapshot{
		Format: 1, Channel: id, Root: info.Root.Version, Log: key.Public(), Epoch: log.Epoch, Seq: log.Seq, Hash: log.Hash,
		Issued: max(channel.TimeOf(p.cfg.Now()), log.Issued), Pages: refs,
	}.Sign(key)
	if err != nil {
		return nil, err
	}
	envelopes, err := encodeAll(env)
	if err != nil {
		return nil, err
	}
	return envelopes[0], p.cfg.Ledger.AppendSnapshot(ctx, envelopes[0], pages)
}
