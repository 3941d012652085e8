package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// channelsOf returns the channels to follow for a subscription. For a topic it
// waits until one that is trusted was found; where single ones are trusted,
// until all of them were.
func (n *Node) channelsOf(ctx context.Context, sub catalog.Subscription, emit func(any)) ([]channel.ID, error) {
	if sub.Topic == "" {
		return []channel.ID{sub.Channel}, nil
	}
	if err := n.listen(ctx, sub); err != nil {
		return nil, err
	}
	told := map[channel.ID]bool{}
	for {
		answered, err := n.browse(ctx, sub)
		if err != nil {
			n.log.Debug("asking for channels", "topic", sub.Topic, "error", err)
		}
		trusted, err := n.listed(ctx, sub, told, emit)
		if err != nil {
			return nil, err
		}
		if answered > 0 && !sub.TrustAll && len(sub.Trust) == 0 {
			return nil, fmt.Errorf("none of the channels that are listed on topic %q (%d) is trusted; follow them with --trust ID or --trust-all", sub.Topic, len(told))
		}
		if len(trusted) > 0 && (sub.TrustAll || len(trusted) == len(sub.Trust)) {
			return trusted, nil
		}
		if err := pause(ctx, syncRetry); err != nil {
			return nil, err
		}
	}
}

// listed returns the trusted channels known on the subscription's topic, and
// tells of those that were not told yet.
func (n *Node) listed(ctx context.Context, sub catalog.Subscription, told map[channel.ID]bool, emit func(any)) ([]channel.ID, error) {
	listings, err := n.catalog.ListedOn(ctx, sub.Topic)
	if err != nil {
		return nil, err
	}
	trusted, err := n.trustedOn(ctx, sub)
	if err != nil {
		return nil, err
	}
	for _, l := range listings {
		ok := sub.TrustAll || slices.Contains(sub.Trust, l.ID)
		if ok && !slices.Contains(trusted, l.ID) {
			trusted = append(trusted, l.ID)
		}
		if !told[l.ID] {
			told[l.ID] = true
			emit(ChannelEvent{Event: "channel", Channel: l.ID.String(), Address: address(l.ID), Title: l.Title, Topic: sub.Topic, Trusted: ok})
		}
	}
	return trusted, nil
}

// listen takes part in a subscription's topic. The channels that it trusts by
// name are asked for by their ids, so that no flood of listings can crowd them
// out.
func (n *Node) listen(ctx context.Context, sub catalog.Subscription) error {
	if looksUp(sub) {
		if err := n.net.gossip.Hide(sub.Topic); err != nil {
			return err
		}
		if err := n.hush(ctx, sub.Topic); err != nil {
			return err
		}
	} else if err := n.net.gossip.Listen(sub.Topic); err != nil {
		return fmt.Errorf("listening to topic %q: %w", sub.Topic, err)
	}
	for _, id := range sub.Trust {
		if err := n.followListed(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// hush stops listening to a topic that no subscription listens to any more.
func (n *Node) hush(ctx context.Context, topic string) error {
	subs, err := n.catalog.Subscriptions(ctx)
	if err == nil && !slices.ContainsFunc(subs, func(s catalog.Subscription) bool { return s.Topic == topic && !looksUp(s) }) {
		n.net.gossip.Unlisten(topic)
	}
	return err
}

// browse asks others what is on a subscription's topic.
func (n *Node) browse(ctx context.Context, sub catalog.Subscription) (answered int, err error) {
	if looksUp(sub) {
		return n.net.gossip.LookUp(ctx, sub.Topic)
	}
	return n.net.gossip.SyncTopic(ctx, sub.Topic)
}

// lookUpInterval is how often a topic is looked up that is not listened to.
const lookUpInterval = 15 * time.Minute

// lookUp looks a subscription's topic up until ctx ends, if that is how it is
// followed; soon again while nobody has answered.
func (n *Node) lookUp(ctx context.Context, sub catalog.Subscription) {
	if !looksUp(sub) {
		return
	}
	for retry := time.Second; ; {
		answered, err := n.browse(ctx, sub)
		if err != nil {
			n.log.Debug("looking up", "topic", sub.Topic, "error", err)
		}
		wait := lookUpInterval
		if answered == 0 {
			wait = min(retry, lookUpInterval)
			retry *= 2
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// hideLookUps keeps from others what was found on topics that are looked up,
// from the first moment on.
func (n *Node) hideLookUps(ctx context.Context, net *network) error {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return fmt.Errorf("reading subscriptions: %w", err)
	}
	for _, sub := range subs {
		if sub.Topic != "" && looksUp(sub) {
			if err := net.gossip.Hide(sub.Topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// trustedOn returns the channels that the subscription trusts by name and whose
// root says that they are on its topic.
func (n *Node) trustedOn(ctx context.Context, sub catalog.Subscription) ([]channel.ID, error) {
	var trusted []channel.ID
	for _, id := range sub.Trust {
		info, err := n.catalog.Channel(ctx, id)
		if err != nil {
			return nil, err
		}
		if info.HasRoot && slices.Contains(info.Root.Topics, sub.Topic) {
			trusted = append(trusted, id)
		}
	}
	return trusted, nil
}

// folder is where a channel's files go: the subscription's output, or on a topic
// a folder in it that no other channel can have.
func folder(sub catalog.Subscription, id channel.ID) string {
	if sub.Topic == "" {
		return sub.Output
	}
	return filepath.Join(sub.Output, id.String())
}
