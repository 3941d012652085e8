package node

import (
	"context"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// List names every channel that the catalogue knows.
func (n *Node) List(ctx context.Context, _ None, _ func(any)) (ListResult, error) {
	infos, err := n.catalog.Channels(ctx)
	if err != nil {
		return ListResult{}, err
	}
	subscribed, err := n.subscribed(ctx)
	if err != nil {
		return ListResult{}, err
	}
	looks, err := n.catalog.LooksLike(ctx)
	if err != nil {
		return ListResult{}, err
	}
	res := ListResult{Channels: []ChannelInfo{}}
	for _, info := range infos {
		if phantom(info) {
			continue
		}
		described := describe(info, subscribed)
		described.LookAlike = lookAlike(looks[info.ID])
		res.Channels = append(res.Channels, described)
	}
	if err := n.withPetnames(ctx, res.Channels); err != nil {
		return ListResult{}, err
	}
	return res, nil
}

// phantom reports whether nothing is known of a channel and nothing is wanted of it: its
// address may have been mistyped once.
func phantom(info catalog.Info) bool { return !info.HasRoot && info.Reason == catalog.Listed }

func describe(info catalog.Info, subscribed map[channel.ID]bool) ChannelInfo {
	out := ChannelInfo{
		Channel: info.ID.String(), Address: address(info.ID),
		Title: info.Root.Title, Topics: info.Root.Topics, Class: string(info.Root.Class), Kind: string(info.Root.Kind),
		Root: info.Root.Version, Releases: uint64(info.Releases), Entries: uint64(info.Entries),
		Fresh: info.Fresh, Forked: info.Forked, State: stateOf(info.Reason), Own: info.Reason == catalog.Owned, Subscribed: subscribed[info.ID],
		Epoch: epochOf(info), Sealed: info.Sealed,
	}
	if out.Title == "" {
		out.Title = info.SealedTitle
	}
	for _, l := range info.Logs {
		out.Updated = max(out.Updated, l.Issued)
	}
	return out
}

func (n *Node) subscribed(ctx context.Context) (map[channel.ID]bool, error) {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[channel.ID]bool{}
	for _, s := range subs {
		if !s.Channel.IsZero() {
			ids[s.Channel] = true
		}
	}
	return ids, nil
}

// Listening waits for the network and says where it is reached.
func (n *Node) Listening(ctx context.Context, _ None, _ func(any)) (ListeningEvent, error) {
	net, err := n.online(ctx)
	if err != nil {
		return ListeningEvent{}, err
	}
	return net.listening(), nil
}

// Watch emits a ListeningEvent, then everything that the node does but single
// uploads, until ctx ends.
func (n *Node) Watch(ctx context.Context, _ None, emit func(any)) (None, error) {
	net, err := n.online(ctx)
	if err != nil {
		return None{}, err
	}
	events, stop := n.bus.lookOn(func(about string) bool { return about != aboutUploads })
	defer stop()
	emit(net.listening())
	for {
		select {
		case <-ctx.Done():
			return None{}, context.Cause(ctx)
		case e := <-events:
			emit(e)
		}
	}
}

// targetOf names what a subscription follows, without a read key.
func targetOf(sub catalog.Subscription) string {
	if sub.Topic != "" {
		return sub.Topic
	}
	return address(sub.Channel)
}
