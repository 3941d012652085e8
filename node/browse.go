package node

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// BrowseRequest looks at a topic.
type BrowseRequest struct {
	Topic   string   `json:"topic"`   // empty: all that are known
	Offline bool     `json:"offline"` // ask nobody
	Wait    Duration `json:"wait"`    // for somebody to answer; 0: 5 s
	Peers   []string `json:"peers"`
}

// BrowseResult is what is known of a topic.
type BrowseResult struct {
	Topic    string          `json:"topic"`
	Topics   []SubTopic      `json:"topics"`   // right below it
	Channels []BrowseChannel `json:"channels"` // on it
	More     bool            `json:"more"`     // there are others
	Asked    int             `json:"asked"`    // peers that answered now
}

// SubTopic is a topic, and how many channels are known on it and below it.
type SubTopic struct {
	Topic    string `json:"topic"`
	Channels int    `json:"channels"`
}

// BrowseChannel is a channel on a topic.
type BrowseChannel struct {
	Channel string `json:"channel"`
	Address string `json:"address"`
	Title   string `json:"title"`         // the publisher's name for it
	State   string `json:"state"`         // own, followed or listed
	Old     bool   `json:"old,omitempty"` // it has, or may have, later roots than a listing holds, which nobody has shown
	Currency
	LookAlike string       `json:"lookAlike,omitempty"`
	Topics    []string     `json:"topics"`
	By        []string     `json:"by,omitempty"`      // what its root calls those who may publish, each name once
	Unnamed   int          `json:"unnamed,omitempty"` // keys that may publish and have no name
	Alike     [][]string   `json:"alike,omitempty"`   // different names of its publishers that look alike, in groups
	Seq       uint64       `json:"seq,omitempty"`     // of the newest release
	Updated   channel.Time `json:"updated,omitzero"`
	Release   string       `json:"release,omitempty"` // its title; not of a channel that is only listed: a listing has no manifests
	Found     channel.Time `json:"found,omitzero"`    // when it was first listed here

	// Followers is how many peers that were connected to this node took part in
	// the channel's gossip, when it last saw any: at Seen.
	Followers int          `json:"followers"`
	Seen      channel.Time `json:"seen,omitzero"`
}

// browseWait is how long a look at the network waits for a first answer.
const browseWait = 5 * time.Second

// Browse says what is known on a topic. On the network it asks others first: those
// learn that somebody is interested in the topic.
func (n *Node) Browse(ctx context.Context, req BrowseRequest, _ func(any)) (BrowseResult, error) {
	topic := ""
	if req.Topic != "" {
		var err error
		if topic, err = channel.NormalizeTopic(req.Topic); err != nil {
			return BrowseResult{}, badRequest("%w", err)
		}
	}
	asked := 0
	if topic != "" && !req.Offline && n.cfg.Network {
		net, err := n.online(ctx)
		if err != nil {
			return BrowseResult{}, err
		}
		if err := net.know(req.Peers); err != nil {
			return BrowseResult{}, err
		}
		if asked, err = n.look(ctx, topic, time.Duration(req.Wait)); err != nil {
			return BrowseResult{}, err
		}
	}
	known, err := n.catalog.Browse(ctx, topic)
	if err != nil {
		return BrowseResult{}, err
	}
	res := BrowseResult{Topic: topic, Topics: []SubTopic{}, Channels: []BrowseChannel{}, More: known.More, Asked: asked}
	for _, t := range known.Below {
		res.Topics = append(res.Topics, SubTopic{Topic: t.Topic, Channels: t.Channels})
	}
	var later map[channel.ID]gossip.Later
	if asked > 0 {
		if later, err = n.laterRoots(ctx, topic, known.Channels, time.Duration(req.Wait)); err != nil {
			return BrowseResult{}, err
		}
	}
	for _, c := range known.Channels {
		now, on, err := n.underLater(ctx, topic, c, later[c.ID])
		if err != nil {
			return BrowseResult{}, err
		}
		if !on {
			continue
		}
		out := browsed(now)
		out.Old = old(c, later[c.ID])
		if out.Currency, err = n.currency(ctx, c.ID); err != nil {
			return BrowseResult{}, err
		}
		res.Channels = append(res.Channels, out)
	}
	return res, nil
}

// look asks whoever can be found which channels are on the topic, until somebody
// has answered or the wait is over.
func (n *Node) look(ctx context.Context, topic string, wait time.Duration) (answered int, err error) {
	if wait <= 0 {
		wait = browseWait
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for answered == 0 {
		if answered, err = n.net.gossip.Browse(short, topic); err != nil {
			n.log.Debug("asking for channels", "topic", topic, "error", err)
		}
		if answered == 0 && pause(short, syncRetry) != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return answered, context.Cause(ctx)
	}
	return answered, n.net.gossip.Survey(ctx, topic)
}

func browsed(c catalog.Browsed) BrowseChannel {
	out := BrowseChannel{
		Channel: c.ID.String(), Address: address(c.ID), Title: c.Title, State: stateOf(c.Reason), LookAlike: lookAlike(c.Looks),
		Topics: c.Topics, By: c.By, Unnamed: c.Unnamed, Alike: c.Alike, Seq: c.Seq, Updated: c.Issued, Release: c.Release, Followers: c.Followers,
	}
	if !c.Seen.IsZero() {
		out.Seen = channel.TimeOf(c.Seen)
	}
	if !c.Found.IsZero() {
		out.Found = channel.TimeOf(c.Found)
	}
	return out
}
