package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// requestPatience is how long a peer that a request names has to answer: whoever
// names one would rather wait than sign a number that it has already. A peer that
// fails is tried again for namedPatience. One of the configuration has fewPatience,
// and is waited for where there is doubt.
const requestPatience = 15 * time.Second

// errNoAnswer: a peer that was named was asked in vain.
var errNoAnswer = errors.New("no answer in time")

// call asks peers that the user named, each by itself: however many others are
// quicker, theirs is the answer that was wanted.
type call struct {
	work sync.WaitGroup
	urls bool // some were named by URL: they serve blobs, and know of no channels
	self bool // this node itself was

	mu     sync.Mutex // guards heard and silent
	heard  []peer.ID
	silent map[peer.ID]error
}

// call begins to ask the peers that a request names what they have of a channel, and
// in doubt also those of the configuration.
func (n *Node) call(ctx context.Context, id channel.ID, peers []string, doubt bool) (*call, error) {
	net, err := n.online(ctx)
	if err != nil {
		return nil, err
	}
	requested, err := parsePeers(peers)
	if err != nil {
		return nil, err
	}
	c := &call{urls: len(requested.urls) > 0, silent: map[peer.ID]error{}}
	begun := map[peer.ID]bool{net.host.ID(): true}
	begin := func(infos []peer.AddrInfo, patience time.Duration) {
		for _, info := range infos {
			if begun[info.ID] {
				c.self = c.self || info.ID == net.host.ID()
				continue
			}
			begun[info.ID] = true
			c.work.Go(func() {
				err := net.hear(ctx, id, info, patience)
				c.mu.Lock()
				defer c.mu.Unlock()
				if err != nil {
					c.silent[info.ID] = err
				} else {
					c.heard = append(c.heard, info.ID)
				}
			})
		}
	}
	begin(requested.infos, requestPatience)
	if doubt {
		configured, err := parsePeers(n.cfg.Peers)
		if err != nil {
			c.work.Wait()
			return nil, err
		}
		begin(configured.infos, fewPatience)
	}
	return c, nil
}

// hear takes in what one peer has of a channel.
func (net *network) hear(ctx context.Context, id channel.ID, info peer.AddrInfo, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	last := time.Now().Add(namedPatience)
	for {
		err := net.host.Connect(ctx, info)
		if err == nil {
			err = net.gossip.Sync(ctx, id, info.ID)
		}
		switch {
		case err == nil, errors.Is(err, gossip.ErrNotFollowed):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(last) || pause(ctx, syncRetry) != nil:
			return err
		}
	}
}

// wait waits for the call's peers, and adds those that answered to who. Silent are
// then those that have in no way.
func (c *call) wait(who map[peer.ID]bool) {
	c.work.Wait()
	for _, p := range c.heard {
		who[p] = true
	}
	maps.DeleteFunc(c.silent, func(p peer.ID, _ error) bool { return who[p] })
}

// tellSilent says who of those that the user named has told nothing of the channel,
// before anything is signed without their word.
func (n *Node) tellSilent(q enquiry, c *call) {
	var parts []string
	for _, p := range slices.SortedFunc(maps.Keys(c.silent), func(a, b peer.ID) int { return strings.Compare(string(a), string(b)) }) {
		why := "did not answer: " + firstLine(c.silent[p].Error())
		if errors.Is(c.silent[p], gossip.ErrNotFollowed) {
			why = "does not have the channel"
		}
		parts = append(parts, fmt.Sprintf("peer %s %s", p, why))
	}
	if c.urls {
		parts = append(parts, "a peer that is named by URL serves blobs, and is not asked what it has of channels")
	}
	if c.self {
		parts = append(parts, fmt.Sprintf("peer %s is this very node, or one whose home this is a copy of: it cannot be asked, and two of them must not run", n.net.host.ID()))
	}
	if len(parts) == 0 {
		return
	}
	message := fmt.Sprintf("%s: not all that were named said what they have of it: %s; a number that they alone know to be taken may be given out twice, which forks the log", address(q.channel), strings.Join(parts, "; "))
	if len(q.peers) > 0 {
		q.emit(WarningEvent{Event: "warning", Channel: q.channel.String(), Message: message})
		return
	}
	n.log.Warn(message)
}

// firstLine is what an error of many lines, as of a failed dial, begins with.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSuffix(strings.TrimSpace(line), ":")
}
