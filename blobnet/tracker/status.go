package tracker

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Status is what a Tracker is doing.
type Status struct {
	Keys      int // announced, or waiting to be
	Unheard   int // of these, never stored with another peer so far
	Late      int // of these, an hour or more behind their time
	DHTPeers  int // connected peers that take part in the DHT
	TableSize int // peers in our routing table
	LANPeers  int // found on the local network
	Static    []StaticPeer
}

// StaticPeer is one peer to stay connected to.
type StaticPeer struct {
	Peer      peer.AddrInfo
	Connected bool
	Err       error // why the last attempt failed; nil once connected
}

// Status returns a snapshot.
func (t *Tracker) Status() Status {
	var s Status
	n := t.keys.counts()
	s.Keys, s.Unheard, s.Late = n.keys, n.unheard, n.late
	s.Static = t.static.status()
	if t.lan != nil {
		s.LANPeers = len(t.lan.list())
	}
	if table := t.getTable(); table != nil {
		s.DHTPeers, s.TableSize = table.size()
	}
	return s
}

// Stats is how announcing goes.
type Stats struct {
	Keys    int       // announced, or waiting to be
	Unheard int       // of these, never stored with another peer so far
	Due     int       // of these, to be announced now, or being announced
	Late    int       // of these, an hour or more behind: their records may expire
	Next    time.Time // when the next one is due, or was; zero if none

	Jobs      int       // under way: regions of keys, or single ones
	Last      time.Time // when a job ended; zero if none did
	Rate      float64   // keys a second, over the last minute or so
	Announced uint64    // keys, each time that it was stored with somebody
	Failed    uint64    // keys, each time that it was with nobody
	Lookups   uint64    // jobs begun: what Announced had cost without sweeping
}

// Stats returns how announcing goes, for status and as metrics. It looks at
// every key: ask a few times a minute, not more.
func (t *Tracker) Stats() Stats { return t.keys.stats() }
