package gossip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/libp2p/go-libp2p/core/peer"
)

// vote is what one hand has to give to all the channels that it follows together.
// It is counted in these parts, so that who joins many rooms says nothing of any.
const vote = 16

// source names the hand that a peer is likely to be in: those behind one part of
// the network are one, since identities cost nothing and addresses do. It is a
// hash: what is kept of it must not tell who was talked to.
func (g *Gossip) source(p peer.ID) string {
	name := string(p)
	for _, c := range g.cfg.Host.Network().ConnsToPeer(p) {
		if part, ok := partOf(c.RemoteMultiaddr().String()); ok && !c.Stat().Limited {
			name = part
			break
		}
	}
	sum := sha256.Sum256([]byte("aml source " + name))
	return hex.EncodeToString(sum[:8])
}

// partOf is the part of the network that an address lies in: a /24 of IPv4, a /48
// of IPv6. It reports false where that says nothing: within a house many hands
// share one.
func partOf(addr string) (string, bool) {
	fields := strings.Split(addr, "/")
	if len(fields) < 3 || strings.Contains(addr, "/p2p-circuit") {
		return "", false
	}
	ip := net.ParseIP(fields[2])
	if ip == nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return "", false
	}
	if four := ip.To4(); four != nil {
		return four.Mask(net.CIDRMask(24, 32)).String(), true
	}
	return ip.Mask(net.CIDRMask(48, 128)).String(), true
}

// announcedTopics are the topics by whose keys a channel can be found: its own,
// and the next above them, as far as there is room.
func announcedTopics(topics []string) []string {
	out := slices.Clone(topics)
	for _, t := range topics {
		for _, above := range channel.ParentTopics(t) {
			if len(out) < len(topics)+maxParents && !slices.Contains(out, above) {
				out = append(out, above)
			}
		}
	}
	return out
}

// Survey counts which connected peers take part in the gossip of channels on the
// topic, or below it, and has the Ledger note it.
func (g *Gossip) Survey(ctx context.Context, topic string) error {
	ids, err := g.cfg.Ledger.SomeOn(ctx, topic, MaxListed)
	if err != nil {
		return fmt.Errorf("counting followers on topic %s: %w", topic, err)
	}
	if err := g.cfg.Ledger.Seen(ctx, g.sightings(ids)); err != nil {
		return fmt.Errorf("counting followers on topic %s: %w", topic, err)
	}
	return nil
}

// survey does it for all topics that are listened to.
func (g *Gossip) survey() {
	g.mu.Lock()
	var topics []string
	for t := range g.interests {
		if t.topic != "" {
			topics = append(topics, t.topic)
		}
	}
	g.mu.Unlock()
	for _, t := range topics {
		if err := g.Survey(g.ctx, t); err != nil && g.ctx.Err() == nil {
			g.event(Event{Kind: EventFailed, Topic: t, Err: err})
		}
	}
}

// sightings are those of the channels that somebody was seen to follow.
func (g *Gossip) sightings(ids []channel.ID) []catalog.Sighting {
	byRoom := make(map[string]channel.ID, len(ids))
	for _, id := range ids {
		byRoom[channelRoomName(id)] = id
	}
	followers := make(map[string]int)             // of a room
	hands := make(map[string]map[string]struct{}) // the rooms that each hand is in
	for p, rooms := range g.filter.all() {
		if !g.connected(p) {
			continue
		}
		hand := g.source(p)
		if hands[hand] == nil {
			hands[hand] = make(map[string]struct{})
		}
		for _, room := range rooms {
			hands[hand][room] = struct{}{}
			followers[room]++
		}
	}
	votes := make(map[string]float64)
	for _, rooms := range hands {
		for room := range rooms {
			votes[room] += vote / float64(len(rooms))
		}
	}
	var out []catalog.Sighting
	for room, n := range followers {
		if id, ok := byRoom[room]; ok {
			out = append(out, catalog.Sighting{Channel: id, Followers: n, Weight: int(votes[room])})
		}
	}
	return out
}
