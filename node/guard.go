package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/publisher/given"
)

// The node's side of the fork guard: see publisher.Memory. Before something is
// signed for a channel, others are asked once what they have of it, so that a
// home whose disk was put back as a whole is found out too; where the memory is
// in doubt, nothing is signed unless somebody answered.

const (
	// askPatience bounds the first question where there is no doubt, and a round
	// of what is asked again later; namedPatience where the user named peers, which
	// can be expected to answer. Without peers all of it may pass.
	askPatience   = time.Second
	namedPatience = 3 * time.Second
	// doubtPatience bounds the asking where there is.
	doubtPatience = 20 * time.Second
	// doubtAnswers is how many followers end a doubt: one may have been off itself,
	// and not know what it lacks. fewPatience is how long is waited for them once one
	// has answered; then as many as there are do.
	doubtAnswers = 3
	fewPatience  = 5 * time.Second
)

// theRoot stands for a key where the channel's root is meant.
var theRoot channel.PublicKey

// asked are the channels of which others have told what they have since the
// node started.
type asked struct {
	mu       sync.Mutex // guards channels
	channels map[channel.ID]bool
}

func (a *asked) has(id channel.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channels[id]
}

func (a *asked) add(id channel.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.channels == nil {
		a.channels = map[channel.ID]bool{}
	}
	a.channels[id] = true
}

// openMemory reads what was given out. A home without it is in doubt of all that
// it publishes: a backup of catalogue and keys alone looks just like that.
func (n *Node) openMemory() (*given.Book, error) {
	book, err := given.Open(n.cfg.Paths.Given)
	if errors.Is(err, given.ErrUnusable) {
		n.log.Warn("followers are asked what they have before this home publishes again", "error", err)
		return book, nil
	}
	return book, err
}

// enquiry is what others are asked before something is signed for a channel.
type enquiry struct {
	channel channel.ID
	alone   bool     // the user vouches for what is here where nobody answers
	peers   []string // that the request names: these are asked in any case
	emit    func(any)
}

// meet waits until the node is on the network, if it is to be, and makes the peers
// known that a request names.
func (n *Node) meet(ctx context.Context, peers []string) error {
	if !n.cfg.Network {
		return nil
	}
	net, err := n.online(ctx)
	if err != nil {
		return err
	}
	return net.know(peers)
}

// current makes sure that what this home knows of logs, or with a zero key of
// the root, is all that was given out, as far as others can say.
func (n *Node) current(ctx context.Context, q enquiry, keys ...channel.PublicKey) error {
	id := q.channel
	doubt, err := n.doubts(ctx, id, keys)
	if err != nil {
		return err
	}
	answered := 0
	if n.cfg.Network && (doubt != nil || len(q.peers) > 0 || !n.asked.has(id)) {
		patience, enough := askPatience, 1
		switch {
		case doubt != nil && !q.alone:
			patience, enough = doubtPatience, doubtAnswers
		case len(q.peers) > 0 || len(n.cfg.Peers) > 0:
			patience = namedPatience
		}
		call, err := n.call(ctx, id, q.peers, doubt != nil && !q.alone)
		if err != nil {
			return err
		}
		who, err := n.ask(ctx, id, patience, enough)
		call.wait(who)
		if err != nil {
			return err
		}
		answered = len(who)
		n.tellSilent(q, call)
	}
	if answered == 0 && !q.alone {
		return n.remedy(id, doubt, len(q.peers) > 0)
	}
	for _, key := range keys {
		if err := n.pub.Confirm(ctx, id, key, q.alone); err != nil {
			return n.remedy(id, err, len(q.peers) > 0)
		}
	}
	if doubt != nil && answered > 0 && !q.alone {
		n.caughtUp(id, answered)
	}
	return nil
}

// caughtUp tells that a doubt has ended, and by how few if they are.
func (n *Node) caughtUp(id channel.ID, answered int) {
	message := "this home was copied or restored from a backup, or its key was used elsewhere, and has caught up with what followers have"
	if answered < doubtAnswers {
		message += "; few answered: if none of them is up to date, and a release is missing here all the same, its number may now be given out twice, which forks the log"
	}
	n.log.Warn(message, "channel", address(id), "answers", answered)
}

// stillCurrent is current for one who has asked it a moment ago.
func (n *Node) stillCurrent(ctx context.Context, q enquiry, keys ...channel.PublicKey) error {
	doubt, err := n.doubts(ctx, q.channel, keys)
	if err != nil || doubt == nil {
		return err
	}
	return n.current(ctx, q, keys...)
}

// doubts returns the first doubt about any of the keys.
func (n *Node) doubts(ctx context.Context, id channel.ID, keys []channel.PublicKey) (doubt, err error) {
	for _, key := range keys {
		switch err := n.pub.Doubt(ctx, id, key); {
		case errors.Is(err, publisher.ErrBehind), errors.Is(err, channel.ErrChain):
			return err, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, nil
}

// ask asks every follower that can be found what it has of a channel, until enough
// have answered or patience is over; from the first answer on fewPatience is. Where
// there is doubt it asks again and again. It returns who answered.
func (n *Node) ask(ctx context.Context, id channel.ID, patience time.Duration, enough int) (map[peer.ID]bool, error) {
	who := map[peer.ID]bool{}
	net, err := n.online(ctx)
	if err != nil {
		return who, err
	}
	if err := net.gossip.Follow(id); err != nil {
		return who, fmt.Errorf("asking followers of %s: %w", address(id), err)
	}
	end := time.Now().Add(patience)
	for {
		short, cancel := context.WithDeadline(ctx, end)
		some, err := net.gossip.SyncSome(short, id, enough, fewPatience)
		cancel()
		if len(some) > 0 && len(who) == 0 {
			n.asked.add(id)
			end = time.Now().Add(fewPatience)
		}
		for _, p := range some {
			who[p] = true
		}
		if len(who) >= enough {
			return who, nil
		}
		if err != nil {
			n.log.Debug("asking followers", "channel", address(id), "error", err)
		}
		again := patience >= doubtPatience || len(who) > 0
		if again {
			again = pause(ctx, min(syncRetry, time.Until(end))) == nil && time.Now().Before(end)
		}
		if !again {
			if len(who) > 0 {
				return who, nil
			}
			return who, context.Cause(ctx)
		}
	}
}

// remedy says what to do about a doubt; nil stays nil.
func (n *Node) remedy(id channel.ID, doubt error, named bool) error {
	if doubt == nil {
		return nil
	}
	how := "name one who has the channel with --peer: nobody who has it answered"
	if named {
		how = "try again when a follower can be reached, or name another with --peer: nobody who has the channel answered"
	}
	if !n.cfg.Network {
		how = "name followers with --peer, or run `aml daemon --peer FOLLOWER`, which lets it catch up, and try again"
	}
	if errors.Is(doubt, publisher.ErrLacks) {
		return fmt.Errorf("%s: %w; to sign that number again would fork the log. To have it back, %s. If nobody has it any more, another key takes the place of this one: aml channel-rotate %s --only-holder", address(id), doubt, how, address(id))
	}
	return fmt.Errorf("%s: %w; signing on might fork the channel. To be safe, %s. If nobody else can have more than is here, say so with --only-holder", address(id), doubt, how)
}

// settle ends doubts about own logs where somebody answers: what a daemon does
// after its home was restored. It reports whether doubts are left.
func (n *Node) settle(ctx context.Context) (left bool) {
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("listing own channels", "error", err)
		}
		return false
	}
	for _, own := range owns {
		info, err := n.catalog.Channel(ctx, own.Channel)
		if err != nil {
			continue
		}
		keys := []channel.PublicKey{theRoot}
		if mayPublish(info.Root, own.Key) {
			keys = append(keys, own.Key)
		}
		doubt, err := n.doubts(ctx, own.Channel, keys)
		if err != nil || doubt == nil {
			continue
		}
		call, err := n.call(ctx, own.Channel, nil, true)
		if err != nil {
			continue
		}
		who, err := n.ask(ctx, own.Channel, namedPatience, doubtAnswers)
		call.wait(who)
		answered := len(who)
		for _, key := range keys {
			if answered > 0 && err == nil {
				err = n.pub.Confirm(ctx, own.Channel, key, false)
			}
		}
		if answered == 0 || err != nil {
			n.log.Debug("catching up with an own channel", "channel", address(own.Channel), "error", err)
			left = true
		} else {
			n.tellSilent(enquiry{channel: own.Channel}, call)
			n.caughtUp(own.Channel, answered)
		}
	}
	return left
}
