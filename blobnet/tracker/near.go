package tracker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// near returns the static and LAN peers.
func (t *Tracker) near() []peer.ID {
	var out []peer.ID
	for _, p := range t.static.list() {
		out = append(out, p.ID)
	}
	if t.lan != nil {
		for _, p := range t.lan.list() {
			out = append(out, p.ID)
		}
	}
	return out
}

// tellNear tells the static and LAN peers of all keys, by SparseInterval, until
// ctx ends. In a small network there is nothing to do: they are told anyway, with
// everybody else.
func (t *Tracker) tellNear(ctx context.Context, table *table) error {
	for {
		every := t.cfg.SparseInterval
		timer := time.NewTimer(every - time.Duration(rand.Float64()*float64(every)/10))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if !table.crowded() || len(table.nearMembers()) == 0 {
			continue
		}
		keys := t.keys.keys()
		for len(keys) > 0 && ctx.Err() == nil {
			some := keys[:min(batch, len(keys))]
			keys = keys[len(some):]
			ctx, cancel := context.WithTimeout(ctx, storeTime)
			table.store(ctx, &region{complete: true}, some)
			cancel()
		}
	}
}
