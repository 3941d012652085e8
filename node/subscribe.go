package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
)

// Subscribe remembers a subscription and follows it. Without Once it emits
// events until ctx ends, and the node goes on following as long as it runs;
// with Once it returns when every release known to the followers that answer is
// written out.
func (n *Node) Subscribe(ctx context.Context, req SubscribeRequest, emit func(any)) (SubscribeResult, error) {
	net, err := n.online(ctx)
	if err != nil {
		return SubscribeResult{}, err
	}
	if req.Stale && !req.Once {
		return SubscribeResult{}, badRequest("--stale goes with --once: it is not remembered")
	}
	var path string // within the channel
	if t, err := n.targetIn(ctx, req.Target); err == nil {
		path = t.address.Path
	}
	sub, err := n.subscription(ctx, &req)
	if err != nil {
		return SubscribeResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return SubscribeResult{}, err
	}
	if err := n.learnTrusted(ctx, req.Trust); err != nil {
		return SubscribeResult{}, err
	}
	sub, fresh, err := n.remember(ctx, sub, req.Policy)
	if err != nil {
		return SubscribeResult{}, err
	}
	if req.Once {
		return n.subscribeOnce(ctx, sub, path, fresh, req.Stale, time.Duration(req.Timeout), emit)
	}
	events, stop := n.bus.watch(func(about string) bool {
		return about == sub.ID || about == aboutPeers || about == aboutTurns(sub.Channel)
	})
	defer stop()
	if err := n.startFollow(sub); err != nil {
		return SubscribeResult{}, err
	}
	for {
		select {
		case <-ctx.Done():
			return SubscribeResult{}, context.Cause(ctx)
		case e, ok := <-events:
			if !ok {
				return SubscribeResult{}, errLagged
			}
			emit(e)
			if _, ended := e.(EndedEvent); ended {
				return SubscribeResult{}, nil
			}
		}
	}
}

// subscribeOnce catches up. A follower of the same subscription that runs in
// this node stands aside meanwhile; a daemon goes on with it afterwards.
func (n *Node) subscribeOnce(ctx context.Context, sub catalog.Subscription, path string, fresh, stale bool, patience time.Duration, emit func(any)) (SubscribeResult, error) {
	goOn := n.follows.stop(sub.ID) || n.cfg.Resume
	res, err := n.once(ctx, sub, stale, patience, emit)
	if err != nil && fresh && n.forget(ctx, sub) {
		return res, err
	}
	if err == nil && path != "" {
		named, namedErr := n.named(ctx, sub.Channel, path)
		if err = namedErr; err == nil && !named {
			err = notFound("nothing in %s is, or was, named %q or lies below it; channel-show names what there is", address(sub.Channel), path)
			if fresh { // it may be mistyped
				n.drop(ctx, sub)
				return res, err
			}
		}
	}
	if goOn {
		if err := n.startFollow(sub); err != nil {
			n.log.Warn("following on", "target", targetOf(sub), "error", err)
		}
	}
	return res, err
}

// remember puts a subscription into the catalogue; fresh is false if it was
// there. One whose folder is gone starts again from the first release: it was
// removed to have everything anew, or by accident.
func (n *Node) remember(ctx context.Context, sub catalog.Subscription, policy PolicyChange) (_ catalog.Subscription, fresh bool, err error) {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return sub, false, err
	}
	same := slices.IndexFunc(subs, func(s catalog.Subscription) bool {
		return s.Channel == sub.Channel && s.Topic == sub.Topic && s.Output == sub.Output
	})
	if same >= 0 {
		sub.Options, sub.Address = subs[same].Options, withKey(sub.Address, subs[same].Address)
	}
	changed, err := changePolicy(&sub, policy)
	if err != nil {
		return sub, false, err
	}
	_, err = os.Stat(sub.Output)
	if same >= 0 && errors.Is(err, fs.ErrNotExist) {
		n.follows.stop(subs[same].ID)
		if err := n.catalog.Unsubscribe(ctx, subs[same].ID); err != nil {
			return sub, false, fmt.Errorf("starting the subscription again: %w", err)
		}
	}
	if err := subscriber.CheckOutput(sub.Output); err != nil {
		return sub, false, err
	}
	if sub, err = n.catalog.Subscribe(ctx, sub); err != nil {
		return sub, false, fmt.Errorf("remembering the subscription: %w", err)
	}
	learned, err := n.learnFrom(ctx, sub)
	if err != nil {
		return sub, false, err
	}
	if learned || same >= 0 && (changed || subs[same].TrustAll != sub.TrustAll || !slices.Equal(subs[same].Trust, sub.Trust)) {
		n.follows.stop(sub.ID) // it is started again with what is trusted, wanted and readable now
	}
	return sub, same < 0, nil
}

// forget takes a subscription back to which nothing was ever found: its address
// or topic may be mistyped. It reports whether it did.
func (n *Node) forget(ctx context.Context, sub catalog.Subscription) bool {
	ctx = context.WithoutCancel(ctx)
	if sub.Topic == "" {
		if info, err := n.catalog.Channel(ctx, sub.Channel); err != nil || info.HasRoot {
			return false
		}
	} else if listings, err := n.catalog.ListedOn(ctx, sub.Topic); err != nil || len(listings) > 0 {
		return false
	}
	n.drop(ctx, sub)
	return true
}

// drop takes a subscription back that brought nothing.
func (n *Node) drop(ctx context.Context, sub catalog.Subscription) {
	ctx = context.WithoutCancel(ctx)
	if err := n.catalog.Unsubscribe(ctx, sub.ID); err != nil {
		n.log.Warn("forgetting a subscription that found nothing", "target", targetOf(sub), "error", err)
	}
	_ = os.Remove(sub.Output) // if it is empty
	if err := n.leave(ctx, sub.Topic); err != nil {
		n.log.Warn("leaving", "target", targetOf(sub), "error", err)
	}
}

// subscription checks a request and makes of it what the catalogue remembers. A path
// in the address becomes a part of the request's policy.
func (n *Node) subscription(ctx context.Context, req *SubscribeRequest) (catalog.Subscription, error) {
	t, err := n.targetIn(ctx, req.Target)
	if err != nil {
		return catalog.Subscription{}, err
	}
	path := t.address.Path
	t.address.Path = ""
	sub := catalog.Subscription{Output: req.Output, TrustAll: req.TrustAll, Topic: t.topic}
	for _, s := range req.Trust {
		trusted, err := n.target(ctx, s)
		if err != nil || trusted.topic != "" {
			return catalog.Subscription{}, badRequest("--trust %q: want a channel's address or id", s)
		}
		sub.Trust = append(sub.Trust, trusted.address.ID)
	}
	folder := t.topic
	if t.topic == "" {
		if len(req.Trust) > 0 || req.TrustAll {
			return catalog.Subscription{}, badRequest("--trust goes with a topic; an address is trusted by itself")
		}
		sub.Channel, sub.Address = t.address.ID, t.address.StringWithReadKey()
		folder = t.address.ID.String()
	}
	if sub.Output == "" {
		if sub.Output, err = n.folderOf(ctx, t, folder); err != nil {
			return sub, err
		}
	}
	req.Policy, err = n.onlyPath(ctx, sub, path, req.Policy)
	return sub, err
}

// folderOf is where a subscription goes for which no folder is named: where the
// one to the same target goes, if there is just one, so that it is that which is
// changed. Of several it is that in the usual folder.
func (n *Node) folderOf(ctx context.Context, t target, name string) (string, error) {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return "", err
	}
	folder := n.folderAmong(subs, t, name)
	var there []string
	for _, sub := range subs {
		if t.follows(sub) {
			there = append(there, sub.Output)
		}
	}
	if len(there) > 1 && !slices.Contains(there, folder) {
		return "", badRequest("there are %d subscriptions to %s: name the folder of one, or a new one, with -o; these write to %s", len(there), t, strings.Join(there, ", "))
	}
	return folder, nil
}

func (n *Node) folderAmong(subs []catalog.Subscription, t target, name string) string {
	folder, found := n.usualFolder(name), 0
	for _, sub := range subs {
		if t.follows(sub) {
			if found++; found > 1 {
				return n.usualFolder(name)
			}
			folder = sub.Output
		}
	}
	return folder
}

// usualFolder is where the files of a channel, named by its id, or of a topic go
// if nobody says otherwise.
func (n *Node) usualFolder(name string) string {
	return filepath.Join(n.cfg.Paths.Files, filepath.FromSlash(name))
}

// leave takes no part any more in what no subscription names: the topic, if it
// is not empty, and channels that are not this node's own.
func (n *Node) leave(ctx context.Context, topic string) error {
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return err
	}
	wanted := func(info catalog.Info) bool {
		return slices.ContainsFunc(subs, func(s catalog.Subscription) bool {
			return s.Channel == info.ID || s.Topic != "" && slices.Contains(info.Root.Topics, s.Topic)
		})
	}
	infos, err := n.catalog.Channels(ctx)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.Reason != catalog.Followed || wanted(info) || n.mirrors.has(info.ID) {
			continue
		}
		if n.net != nil {
			n.net.gossip.Unfollow(info.ID)
		}
		if err := n.catalog.Unfollow(ctx, info.ID); err != nil {
			return fmt.Errorf("leaving %s: %w", address(info.ID), err)
		}
	}
	if n.net != nil && topic != "" {
		n.net.gossip.Unlisten(topic)
	}
	return nil
}
