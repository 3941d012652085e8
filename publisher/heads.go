package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// head is a head of the log, without its channel and mirrors, that is fresh
// from issued for as long as the config or the channel's kind says.
func (p *Publisher) head(root channel.Root, log channel.PublicKey, seq uint64, manifest channel.Hash, issued channel.Time) channel.Head {
	life := p.cfg.HeadLife
	if life == 0 {
		life = root.Kind.HeadLife()
	}
	return channel.Head{
		Format: 1, Root: root.Version, Log: log, Seq: seq, Hash: manifest,
		Issued: issued, Expires: max(channel.TimeOf(issued.Time().Add(life)), issued+1),
	}
}

// RenewHeads signs a new head for every own log whose newest is past a quarter
// of its life, or missing, and broadcasts it: while the publisher runs, its
// channels stay fresh. A log that its key may not go on with is left alone. It
// goes through all channels and returns what went wrong with any.
func (p *Publisher) RenewHeads(ctx context.Context) error {
	owns, err := p.cfg.Ledger.Owns(ctx)
	if err != nil {
		return fmt.Errorf("renewing heads: %w", err)
	}
	var errs []error
	for _, own := range owns {
		if err := p.renew(ctx, own); err != nil {
			errs = append(errs, fmt.Errorf("renewing the head of %s: %w", channel.Address{ID: own.Channel}, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) renew(ctx context.Context, own catalog.Own) error {
	envelopes, err := p.appendHead(ctx, own)
	if err != nil || envelopes == nil {
		return err
	}
	return p.broadcast(ctx, own.Channel, envelopes)
}

// appendHead records a new head if one is due, and returns it encoded.
func (p *Publisher) appendHead(ctx context.Context, own catalog.Own) ([][]byte, error) {
	release, err := p.turns.take(ctx, logKey{own.Channel, own.Key})
	if err != nil {
		return nil, err
	}
	defer release()
	info, err := p.cfg.Ledger.Channel(ctx, own.Channel)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(info.Logs, func(l catalog.LogInfo) bool { return l.Log == own.Key })
	if i < 0 || !p.due(info, info.Logs[i]) {
		return nil, nil
	}
	log := info.Logs[i]
	if p.doubt(own.Channel, own.Key, log.Seq, log.Hash) != nil {
		return nil, nil // what is not known to be the newest must not be called it
	}
	key, err := p.cfg.Keys.Load(own.KeyFile)
	if err != nil {
		return nil, err
	}
	if key.Public() != own.Key {
		return nil, fmt.Errorf("%w: %s holds key %s, want %s", channel.ErrNotAuthorized, own.KeyFile, key.Public().Short(), own.Key.Short())
	}
	return p.signHead(ctx, info, log, key)
}

// signHead records a new head of a log, by the log's key or a head key.
func (p *Publisher) signHead(ctx context.Context, info catalog.Info, log catalog.LogInfo, key channel.PrivateKey) ([][]byte, error) {
	issued := max(channel.TimeOf(p.cfg.Now()), log.Issued)
	head := p.head(info.Root, log.Log, log.Seq, log.Hash, issued)
	head.Channel, head.Epoch = info.ID, log.Epoch
	if log.Head != nil {
		head.Mirrors = log.Head.Mirrors
	}
	env, err := head.Sign(key)
	if err != nil {
		return nil, err
	}
	envelopes, err := encodeAll(env)
	if err != nil {
		return nil, err
	}
	return envelopes, p.cfg.Ledger.Append(ctx, envelopes...)
}

// due reports whether a log wants a new head, and may have one.
func (p *Publisher) due(info catalog.Info, log catalog.LogInfo) bool {
	if log.Seq == 0 || !log.Publishes || log.Frozen || info.RootExpired || log.Claimed > log.Seq {
		return false
	}
	h := log.Head
	if h == nil || h.Seq < log.Seq {
		return true
	}
	return channel.TimeOf(p.cfg.Now()) > h.Issued+(h.Expires-h.Issued)/4
}
