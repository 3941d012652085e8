package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// HeadsDue reports whether a channel has a log that wants a new head and that a
// key with role head may sign one for. RenewHeadsBy would sign it.
func (p *Publisher) HeadsDue(info catalog.Info, key channel.PublicKey) bool {
	if !p.maySignHeads(info, key) {
		return false
	}
	for _, log := range info.Logs {
		if p.due(info, log) {
			return true
		}
	}
	return false
}

func (p *Publisher) maySignHeads(info catalog.Info, key channel.PublicKey) bool {
	pub, ok := info.Root.Publisher(key)
	return info.HasRoot && ok && pub.Role == channel.RoleHead && (pub.Expires.IsZero() || !p.cfg.Now().After(pub.Expires.Time()))
}

// RenewHeadsBy is RenewHeads for all logs of a channel that somebody else
// publishes to, with a key that has role head there: an always-on node keeps
// the channel fresh while its publishers are away. The caller has asked others
// first whether they have more, since a head says that nothing newer is known.
// A key that may not sign heads, or not any more, signs nothing.
func (p *Publisher) RenewHeadsBy(ctx context.Context, id channel.ID, key channel.PrivateKey) error {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return fmt.Errorf("renewing the heads of %s: %w", channel.Address{ID: id}, err)
	}
	var errs []error
	for _, log := range info.Logs {
		envelopes, err := p.appendDelegatedHead(ctx, id, log.Log, key)
		if err == nil && envelopes != nil {
			err = p.broadcast(ctx, id, envelopes)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("renewing the head of log %s of %s: %w", log.Log.Short(), channel.Address{ID: id}, err))
		}
	}
	return errors.Join(errs...)
}

// appendDelegatedHead records a new head if one is due, and returns it encoded.
// The log's turn is that of its own key, which may be on this node too.
func (p *Publisher) appendDelegatedHead(ctx context.Context, id channel.ID, log channel.PublicKey, key channel.PrivateKey) ([][]byte, error) {
	release, err := p.turns.take(ctx, logKey{id, log})
	if err != nil {
		return nil, err
	}
	defer release()
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil || !p.maySignHeads(info, key.Public()) {
		return nil, err
	}
	now := logOf(info, log)
	if !p.due(info, now) {
		return nil, nil
	}
	return p.signHead(ctx, info, now, key)
}
