package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
)

// The greeting with which a node says which rooms it is in is one RPC. Were it
// in thousands, nobody could hear it, and it would be in none.
func TestWhoFollowsThousandsOfChannelsIsStillInGossip(t *testing.T) {
	const many = 3 * MaxTopicsPerPeer
	ids := make([]channel.ID, many)
	for i := range ids {
		ids[i] = channel.ID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))
	}
	mirror := newNode(t, "", func(c *Config) { c.Ledger = newFakeLedger() })
	for _, id := range ids {
		if err := mirror.gossip.Follow(id); err != nil {
			t.Fatal(err)
		}
	}
	entered := func() (names []string) {
		mirror.gossip.opening.Lock()
		defer mirror.gossip.opening.Unlock()
		mirror.gossip.mu.Lock()
		defer mirror.gossip.mu.Unlock()
		for name, r := range mirror.gossip.rooms {
			if r.cancel != nil {
				names = append(names, name)
			}
		}
		return names
	}
	mirror.poll("the rooms", func() bool { return len(entered()) == MaxTopicsPerPeer })
	one := entered()[0]
	in := slices.IndexFunc(ids, func(id channel.ID) bool { return channelRoomName(id) == one })
	other := newNode(t, "", func(c *Config) { c.Ledger = newFakeLedger() })
	if err := other.gossip.Follow(ids[in]); err != nil {
		t.Fatal(err)
	}
	connect(t, other.host, mirror.host)
	other.awaitFollower(ids[in], mirror)

	// A place that becomes free is taken, and no more than that.
	mirror.gossip.Unfollow(ids[in])
	mirror.poll("the agenda", func() bool { return len(entered()) == MaxTopicsPerPeer })
	for _, id := range ids {
		if err := mirror.gossip.Follow(id); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(entered()); n != MaxTopicsPerPeer {
		t.Errorf("in %d rooms", n)
	}
}
