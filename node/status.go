package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"

	libp2p "github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/account"
	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/node/transport"
)

// Status is who a node is and what it holds.
type Status struct {
	PeerID        string         `json:"peerId"`
	Addrs         []string       `json:"addrs"` // multiaddrs, each ending in /p2p/PEERID
	URLs          []string       `json:"urls"`  // of the WebSocket bridge and the HTTP mirror
	Home          string         `json:"home"`
	PID           int            `json:"pid"`
	Started       channel.Time   `json:"started"`
	Peers         int            `json:"peers"` // connected
	Connections   Connections    `json:"connections"`
	Goroutines    int            `json:"goroutines"`
	Blobs         BlobStatus     `json:"blobs"`
	Limits        Limits         `json:"limits"`
	Tracker       TrackerStatus  `json:"tracker"`
	Reach         ReachStatus    `json:"reach"`
	Relay         RelayStatus    `json:"relay"`
	Channels      int            `json:"channels"` // known
	Own           int            `json:"own"`      // that this node publishes
	Subscriptions []Subscription `json:"subscriptions"`
	Plugins       []PluginStatus `json:"plugins"`              // those that are enabled
	Failing       []FailingInfo  `json:"failing"`              // sources, documents and mirrors
	EventsLost    string         `json:"eventsLost,omitempty"` // why events are not kept for plugins that observe: the disk is full
}

// Subscription is one followed channel or topic.
type Subscription struct {
	ID      string `json:"id"`
	Target  string `json:"target"` // an address or a topic
	Output  string `json:"output"` // folder
	Running bool   `json:"running"`
	Currency
}

// BlobStatus counts the blob store and what was moved; sizes are bytes.
type BlobStatus struct {
	BlobCount   int64   `json:"blobCount"`
	CurrentSize int64   `json:"currentSize"`
	MaxSize     int64   `json:"maxSize"` // 0: no quota
	Pinned      int64   `json:"pinned"`
	PinnedSize  int64   `json:"pinnedSize"`
	Utilization float64 `json:"utilization"` // CurrentSize / MaxSize
	ServeOnly   bool    `json:"serveOnly"`   // the disk is full: nothing new is stored

	InPlace  InPlaceStatus `json:"inPlace"`
	Received Counts        `json:"received"`
	Sent     Counts        `json:"sent"`
	Peers    []PeerCounts  `json:"peers"` // those with whom most was moved, by bytes
}

// InPlaceStatus counts what is served out of files and not stored.
type InPlaceStatus struct {
	Files int64 `json:"files"`
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Counts are bytes that were moved one way since this home was made.
type Counts struct {
	Useful    int64 `json:"useful"`
	Duplicate int64 `json:"duplicate"` // another peer gave them sooner
	Wasted    int64 `json:"wasted"`    // wrong, cancelled or broken off
	Overhead  int64 `json:"overhead"`  // messages, frames, proofs
}

// PeerCounts is what was moved with one peer.
type PeerCounts struct {
	Peer     string       `json:"peer"` // "others" for those that are not told apart
	Received Counts       `json:"received"`
	Sent     Counts       `json:"sent"`
	Last     channel.Time `json:"last"`
}

// maxPeerCounts is how many peers a BlobStatus tells of.
const maxPeerCounts = 20

// Connections counts them, and says how many there may be. Those of the WebSocket
// bridge and the HTTP mirror have limits of their own.
type Connections struct {
	In     int `json:"in"` // that peers opened
	Out    int `json:"out"`
	MaxIn  int `json:"maxIn"`
	MaxOut int `json:"maxOut"`
}

// Limits are the rates that hold now, in bytes per second; 0 is no limit.
type Limits struct {
	Upload   Rates `json:"upload"`
	Download Rates `json:"download"`
}

// Rates are those of one direction.
type Rates struct {
	Total int64            `json:"total"`
	Peer  int64            `json:"peer"`            // of each peer
	Class map[string]int64 `json:"class,omitempty"` // by class: stream, foreground, prefetch, repair
}

func rates(r limit.Rates) Rates {
	out := Rates{Total: r.Total, Peer: r.PerPeer}
	for class := range blobnet.Classes {
		if r.Class[class] > 0 {
			if out.Class == nil {
				out.Class = map[string]int64{}
			}
			out.Class[class.String()] = r.Class[class]
		}
	}
	return out
}

// TrackerStatus says how far the announcing of what is here is.
type TrackerStatus struct {
	Keys     int          `json:"keys"`          // announced, or waiting to be
	Unheard  int          `json:"unheard"`       // of these, never stored with another node so far
	Due      int          `json:"due"`           // of these, waiting for their turn
	Late     int          `json:"late"`          // of these, an hour or more behind their time
	Rate     float64      `json:"rate"`          // keys announced per second, of late
	Next     channel.Time `json:"next,omitzero"` // when the next one is due
	DHTPeers int          `json:"dhtPeers"`      // connected
}

// ReachStatus says what others found of the addresses of a node with punch, as
// multiaddrs.
type ReachStatus struct {
	Confirmed   []string `json:"confirmed"`   // others have dialled back at them
	Unreachable []string `json:"unreachable"` // others could not
	Unknown     []string `json:"unknown"`     // nobody has tried yet
	Relayed     []string `json:"relayed"`     // through relays
}

func reachStatus(r transport.Reachability) ReachStatus {
	texts := func(addrs []multiaddr.Multiaddr) []string {
		out := make([]string, len(addrs))
		for i, a := range addrs {
			out[i] = a.String()
		}
		return out
	}
	return ReachStatus{Confirmed: texts(r.Confirmed), Unreachable: texts(r.Unreachable), Unknown: texts(r.Unknown), Relayed: texts(r.Relayed)}
}

// RelayStatus counts what is passed on between others; zero if nothing is.
type RelayStatus struct {
	Circuits       int   `json:"circuits"`       // open now
	Bytes          int64 `json:"bytes"`          // passed on since the start, both ways
	BytesPerSecond int64 `json:"bytesPerSecond"` // over about the last ten seconds
}

// Status says who the node is, where it listens and what it holds.
func (n *Node) Status(ctx context.Context, _ None, _ func(any)) (Status, error) {
	s := Status{
		Plugins: n.plugins.host.Status(), Failing: n.failing(ctx),
		Goroutines: runtime.NumGoroutine(), Home: n.cfg.Paths.Home, PID: os.Getpid(), Started: channel.Time(n.started.Unix()),
		Addrs: []string{}, URLs: []string{}, Subscriptions: []Subscription{},
	}
	if err := n.eventsLost(); err != nil {
		s.EventsLost = err.Error()
	}
	id, err := peerID(n.identity)
	if err != nil {
		return Status{}, err
	}
	s.PeerID = id
	if n.cfg.Network {
		net, err := n.online(ctx)
		if err != nil {
			return Status{}, err
		}
		s.Addrs = net.addrs()
		s.URLs = net.bridges.urls()
		s.Peers = len(net.host.Network().Peers())
		s.Connections = n.connections(net)
		s.Limits = Limits{Upload: rates(net.upload.Rates()), Download: rates(net.download.Rates())}
		s.Tracker = trackerStatus(net.tracker)
		s.Reach = reachStatus(net.host.Reachability())
		relay := net.host.RelayStats()
		s.Relay = RelayStatus{Circuits: relay.Circuits, Bytes: relay.Bytes, BytesPerSecond: relay.BytesPerSecond}
	}
	if s.Blobs, err = n.BlobStatus(ctx, None{}, nil); err != nil {
		return Status{}, err
	}
	infos, err := n.catalog.Channels(ctx)
	if err != nil {
		return Status{}, err
	}
	s.Channels = len(infos)
	for _, info := range infos {
		if info.Reason == catalog.Owned {
			s.Own++
		}
	}
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("listing subscriptions: %w", err)
	}
	running := n.follows.names()
	for _, sub := range subs {
		current, err := n.currency(ctx, sub.Channel)
		if err != nil {
			return Status{}, err
		}
		s.Subscriptions = append(s.Subscriptions, Subscription{Currency: current,
			ID: sub.ID, Target: targetOf(sub), Output: sub.Output, Running: slices.Contains(running, sub.ID),
		})
	}
	return s, nil
}

func (n *Node) connections(net *network) Connections {
	c := Connections{MaxIn: n.cfg.MaxIn, MaxOut: n.cfg.MaxOut}
	for _, conn := range net.host.Network().Conns() {
		if conn.Stat().Direction == libp2p.DirInbound {
			c.In++
		} else {
			c.Out++
		}
	}
	return c
}

func trackerStatus(t *tracker.Tracker) TrackerStatus {
	s := t.Stats()
	out := TrackerStatus{Keys: s.Keys, Unheard: s.Unheard, Due: s.Due, Late: s.Late, Rate: s.Rate, DHTPeers: t.Status().DHTPeers}
	if !s.Next.IsZero() {
		out.Next = channel.Time(s.Next.Unix())
	}
	return out
}

// BlobStatus counts the blob store, and what was moved with whom.
func (n *Node) BlobStatus(ctx context.Context, _ None, _ func(any)) (BlobStatus, error) {
	s, err := n.blobs.Stats(ctx)
	if err != nil {
		return BlobStatus{}, err
	}
	used, err := n.blobs.Usage(ctx)
	if err != nil {
		return BlobStatus{}, err
	}
	out := BlobStatus{
		BlobCount: s.BlobCount, CurrentSize: s.CurrentSize, MaxSize: s.MaxSize,
		Pinned: s.Pinned, PinnedSize: s.PinnedSize, Utilization: s.Utilization(), ServeOnly: n.disk.ServeOnly(),
		InPlace: InPlaceStatus{Files: used.Files, Blobs: used.Blobs, Bytes: used.Bytes},
		Peers:   []PeerCounts{},
	}
	total, _, err := n.book.Totals(ctx)
	if err != nil {
		return BlobStatus{}, fmt.Errorf("counting what was moved: %w", err)
	}
	out.Received, out.Sent = Counts(total.Received), Counts(total.Sent)
	rows, err := n.book.List(ctx, maxPeerCounts)
	if err != nil {
		return BlobStatus{}, fmt.Errorf("counting what was moved: %w", err)
	}
	for _, r := range rows {
		out.Peers = append(out.Peers, peerCounts(r))
	}
	return out, nil
}

func peerCounts(r account.Row) PeerCounts {
	return PeerCounts{Peer: r.Peer, Received: Counts(r.Received), Sent: Counts(r.Sent), Last: channel.Time(r.Last.Unix())}
}
