package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/mirror"
)

// relive brings who is alive up to date, and reports whether that has changed. mu is
// held.
func (f *fleet) relive() bool {
	live := f.members.Live(f.clock.Now())
	same := slices.EqualFunc(live, f.live, func(a, b mirror.Beat) bool {
		return a.Peer == b.Peer && slices.Equal(a.Channels, b.Channels)
	})
	if f.live = live; !same {
		f.sharers = nil
	}
	known := f.members.Known(f.clock.Now())
	for name, p := range f.peers {
		if !slices.ContainsFunc(known, func(b mirror.Beat) bool { return b.Peer == name }) {
			_ = p.Close() // it only lets go of streams
			delete(f.peers, name)
		}
	}
	return !same
}

// changed has all looked at again, since the shares are others now.
func (f *fleet) changed() {
	if !f.ready() {
		return
	}
	f.tellMembers()
	for _, m := range f.workers {
		m.reset()
	}
}

// tellMembers says how many are alive.
func (f *fleet) tellMembers() {
	f.mu.Lock()
	count := len(f.live) + 1
	f.mu.Unlock()
	f.emit(MirrorEvent{Event: "mirror", State: "members", Members: count})
}

// hear takes in what another member says.
func (f *fleet) hear(ctx context.Context, data []byte) {
	b, err := mirror.Open(data, f.req.Group, verifyBeat)
	if err != nil || b.Peer == f.self {
		f.n.log.Debug("what was said in the group", "error", err)
		return
	}
	f.mu.Lock()
	changed, err := f.members.Heard(b, time.Now(), f.clock.Now())
	if err != nil {
		f.mu.Unlock()
		f.n.log.Debug("what was said in the group", "error", err)
		return
	}
	shares := f.relive()
	_, known := f.peers[b.Peer]
	if id, err := peer.Decode(b.Peer); err == nil && !known && !b.Leaving {
		f.peers[b.Peer] = f.net.exchange.Peer(id)
	}
	f.mu.Unlock()
	if !b.Leaving {
		f.reach(ctx, b)
	}
	if !known {
		f.beatSoon() // it does not know us yet
	}
	switch {
	case shares:
		f.changed()
	case changed:
		f.wake()
	}
}

// verifyBeat checks that the node of that id signed msg.
func verifyBeat(name string, msg, sig []byte) error {
	id, err := peer.Decode(name)
	if err != nil {
		return err
	}
	key, err := id.ExtractPublicKey()
	if err != nil {
		return err
	}
	if ok, err := key.Verify(msg, sig); err != nil || !ok {
		return errors.Join(errors.New("it is not signed by the node of that id"), err)
	}
	return nil
}

// reach remembers where a member is, as far as this node may go there, and connects.
func (f *fleet) reach(ctx context.Context, b mirror.Beat) {
	info := peer.AddrInfo{}
	for _, s := range b.Addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil || !f.net.reach.Allows(a) {
			continue
		}
		if one, err := peer.AddrInfoFromP2pAddr(a); err == nil && one.ID.String() == b.Peer {
			info.ID, info.Addrs = one.ID, append(info.Addrs, one.Addrs...)
		}
	}
	if len(info.Addrs) == 0 {
		return
	}
	f.net.host.Peerstore().AddAddrs(info.ID, info.Addrs, memberAddrs)
	f.mu.Lock()
	dialing := f.dialing[b.Peer]
	f.dialing[b.Peer] = true
	f.mu.Unlock()
	if dialing {
		return
	}
	f.dials.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, memberDial)
		defer cancel()
		if err := f.net.host.Connect(ctx, info); err != nil {
			f.n.log.Debug("connecting to a member", "peer", info.ID, "error", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.dialing, b.Peer)
	})
}

// wake has what is missing looked for, at most once a second.
func (f *fleet) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waking != nil {
		return
	}
	f.waking = time.AfterFunc(max(0, newsPause-time.Since(f.woken)), func() {
		f.mu.Lock()
		f.waking, f.woken = nil, time.Now()
		f.mu.Unlock()
		for _, m := range f.workers {
			m.wake()
		}
	})
}

// news tells others that something was got.
func (f *fleet) news() {
	f.mu.Lock()
	f.got++
	f.mu.Unlock()
	f.beatSoon()
}

// ready reports whether who is a member is known well enough to divide the work.
func (f *fleet) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settled
}

// mirroring are the live members that mirror a channel, this one among them. They are
// not to be changed.
func (f *fleet) mirroring(id channel.ID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, known := f.sharers[id]
	if !known {
		if f.sharers == nil {
			f.sharers = map[channel.ID][]string{}
		}
		names = append(mirror.In(f.live, id.String()), f.self)
		f.sharers[id] = names
	}
	return names
}

// owners are those that keep a release.
func (f *fleet) owners(id channel.ID, key channel.Hash) []string {
	return mirror.Owners(mirror.Key(key), f.mirroring(id), f.req.Copies)
}

// others are all other members that may have something, by name.
func (f *fleet) others() map[string]*exchange.Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]*exchange.Peer, len(f.peers))
	for name, p := range f.peers {
		out[name] = p
	}
	return out
}
