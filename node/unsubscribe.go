package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Unsubscribe ends the subscriptions to a channel or topic, of several perhaps the one
// that writes to Output, or that a channel is followed without one (UpdateCheck). What
// they wrote stays.
func (n *Node) Unsubscribe(ctx context.Context, req UnsubscribeRequest, _ func(any)) (UnsubscribeResult, error) {
	if n.cfg.Network {
		if _, err := n.online(ctx); err != nil {
			return UnsubscribeResult{}, err
		}
	}
	t, err := n.target(ctx, req.Target)
	if err != nil {
		return UnsubscribeResult{}, err
	}
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return UnsubscribeResult{}, err
	}
	res := UnsubscribeResult{Outputs: []string{}}
	var others []string
	for _, sub := range subs {
		if !t.follows(sub) {
			continue
		}
		if req.Output != "" && req.Output != sub.Output {
			others = append(others, sub.Output)
			continue
		}
		n.follows.stop(sub.ID)
		if err := n.catalog.Unsubscribe(ctx, sub.ID); err != nil {
			return res, fmt.Errorf("ending the subscription to %s: %w", t, err)
		}
		n.works.end(sub.ID)
		n.bus.send(sub.ID, EndedEvent{Event: "unsubscribed", Target: targetOf(sub)})
		res.Ended++
		res.Outputs = append(res.Outputs, sub.Output)
	}
	if res.Left = len(others); res.Ended == 0 && res.Left > 0 {
		return res, fmt.Errorf("no subscription to %s writes to %s: %w; those to it write to %s", t, req.Output, catalog.ErrUnknown, strings.Join(others, ", "))
	}
	if res.Left > 0 { // what they follow goes on
		if t.topic != "" && n.net != nil { // but those that look it up do not listen to it
			return res, n.hush(ctx, t.topic)
		}
		return res, nil
	}
	if info, err := n.catalog.Channel(ctx, t.address.ID); res.Ended == 0 && (req.Output != "" || err != nil || info.Reason != catalog.Followed) {
		return res, fmt.Errorf("no subscription to %s: %w", t, catalog.ErrUnknown)
	}
	res.Followed = res.Ended == 0
	return res, n.leave(ctx, t.topic)
}
