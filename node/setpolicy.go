package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// SetRequest changes the policy of the subscriptions to Target; without a change
// it shows them.
type SetRequest struct {
	Target string       `json:"target"`
	Output string       `json:"output,omitempty"` // absolute: only the one that writes there
	Change PolicyChange `json:"change"`
}

// SetResult has the subscriptions as they are now.
type SetResult struct {
	Subscriptions []SubscriptionInfo `json:"subscriptions"`
}

// SubscriptionInfo is one subscription, and what it has brought.
type SubscriptionInfo struct {
	Target   string          `json:"target"` // address without its read key, or topic
	Output   string          `json:"output"`
	Policy   json.RawMessage `json:"policy"`
	Files    int64           `json:"files"` // on disk, of its own
	Bytes    int64           `json:"bytes"`
	Passed   []PassedInfo    `json:"passed"` // what it has left out
	Changed  bool            `json:"changed,omitempty"`
	Currency                 // of the channel; of a topic there is none
}

// PassedInfo counts files that were left out for one reason.
type PassedInfo struct {
	Reason string `json:"reason"` // the policy's field
	Files  int    `json:"files"`
	Bytes  uint64 `json:"bytes"`
}

// Set changes policies. What is followed in this node goes on at once with the
// new one, from where it was.
func (n *Node) Set(ctx context.Context, req SetRequest, _ func(any)) (SetResult, error) {
	if n.cfg.Network {
		if _, err := n.online(ctx); err != nil {
			return SetResult{}, err
		}
	}
	t, err := n.target(ctx, req.Target)
	if err != nil {
		return SetResult{}, err
	}
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return SetResult{}, err
	}
	res := SetResult{Subscriptions: []SubscriptionInfo{}}
	for _, sub := range subs {
		if !t.follows(sub) || req.Output != "" && req.Output != sub.Output {
			continue
		}
		changed, err := changePolicy(&sub, req.Change)
		if err != nil {
			return res, err
		}
		if changed {
			if err := n.change(ctx, sub); err != nil {
				return res, err
			}
		}
		info, err := n.subscriptionInfo(ctx, sub)
		if err != nil {
			return res, err
		}
		info.Changed = changed
		res.Subscriptions = append(res.Subscriptions, info)
	}
	if len(res.Subscriptions) == 0 {
		return res, fmt.Errorf("no subscription to %s: %w", t, catalog.ErrUnknown)
	}
	return res, nil
}

// change stores a subscription that was there with other options; if it is
// followed, it is with these from now on.
func (n *Node) change(ctx context.Context, sub catalog.Subscription) error {
	running := n.follows.stop(sub.ID)
	_, err := n.catalog.Subscribe(ctx, sub)
	if running {
		if startErr := n.startFollow(sub); err == nil {
			err = startErr
		}
	}
	if err != nil {
		return fmt.Errorf("changing the subscription to %s: %w", targetOf(sub), err)
	}
	return nil
}

// follows reports whether a subscription is to this target.
func (t target) follows(sub catalog.Subscription) bool {
	if t.topic != "" {
		return sub.Topic == t.topic
	}
	return sub.Channel == t.address.ID
}

func (n *Node) subscriptionInfo(ctx context.Context, sub catalog.Subscription) (SubscriptionInfo, error) {
	tally, err := n.catalog.Tally(ctx, sub.ID)
	if err != nil {
		return SubscriptionInfo{}, err
	}
	current, err := n.currency(ctx, sub.Channel)
	if err != nil {
		return SubscriptionInfo{}, err
	}
	info := SubscriptionInfo{Currency: current, Target: targetOf(sub), Output: sub.Output, Policy: sub.Options, Files: tally.Files, Bytes: tally.Bytes, Passed: []PassedInfo{}}
	for _, p := range tally.Passed {
		info.Passed = append(info.Passed, PassedInfo{p.Reason, p.Files, p.Bytes})
	}
	return info, nil
}

// withKey keeps the read key of an address that is named again without it.
func withKey(address, before string) string {
	if !strings.Contains(address, "#") && strings.HasPrefix(before, address+"#") {
		return before
	}
	return address
}

// showSubscriptions adds to what is shown of a channel what is this user's own.
func (n *Node) showSubscriptions(ctx context.Context, id channel.ID, res *ShowResult) error {
	info := []ChannelInfo{res.ChannelInfo}
	if err := n.withPetnames(ctx, info); err != nil {
		return err
	}
	res.ChannelInfo, res.Subscriptions = info[0], []SubscriptionInfo{}
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		if sub.Channel != id {
			continue
		}
		info, err := n.subscriptionInfo(ctx, sub)
		if err != nil {
			return err
		}
		res.Subscriptions = append(res.Subscriptions, info)
	}
	return nil
}
