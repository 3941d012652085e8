package natsbridge

import (
	"bytes"
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// news is what has moved the ledger forward, by channel and in order.
type news struct {
	order []channel.ID
	of    map[channel.ID][][]byte
	count map[channel.ID]int
}

func newNews() *news {
	return &news{of: map[channel.ID][][]byte{}, count: map[channel.ID]int{}}
}

// maxTold is how many releases of one batch are told to aml's own network one by
// one. It would take more from one key for a flood; a head makes others sync.
const maxTold = 8

func (n *news) add(o feed.Outcome, envelope []byte) {
	if !o.Relay() && !o.Changed {
		return
	}
	if n.of[o.Channel] == nil {
		n.order = append(n.order, o.Channel)
		n.of[o.Channel] = [][]byte{}
	}
	if o.Relay() { // also a head that names what has not come yet
		n.count[o.Channel]++
	}
	switch {
	case o.Proof != nil: // a proof with a page goes by sync
		if isEnvelope(o.Proof.A) && isEnvelope(o.Proof.B) {
			a, b := inOrder(*o.Proof)
			n.of[o.Channel] = append(n.of[o.Channel], a, b)
		}
	case !o.Relay() || envelope == nil:
	case o.Kind == feed.KindManifest && n.count[o.Channel] > maxTold:
	default:
		n.of[o.Channel] = append(n.of[o.Channel], envelope)
	}
}

// inOrder returns both sides of a proof, the lesser bytes first: one proof has
// one spelling.
func inOrder(f feed.Fork) (a, b []byte) {
	if bytes.Compare(f.B, f.A) < 0 {
		return f.B, f.A
	}
	return f.A, f.B
}

func isEnvelope(data []byte) bool {
	_, err := channel.DecodeEnvelope(data)
	return err == nil
}

// tell passes news on to aml's own network. That it could not be told is no
// failure of the bridge: others sync.
func (b *Bridge) tell(ctx context.Context, n *news) {
	for _, id := range n.order {
		if n.count[id] > 0 {
			b.event(Event{Kind: EventTaken, Channel: id, Count: n.count[id]})
		}
		if b.cfg.Tell == nil || len(n.of[id]) == 0 {
			continue
		}
		if err := b.cfg.Tell(ctx, id, n.of[id]...); err != nil && ctx.Err() == nil {
			b.fail(fmt.Errorf("telling followers of what came from NATS: %w", err))
		}
	}
}
