// Package tracker answers "who has what": it announces keys of ours, and looks
// up the peers that announced a key.
//
// It is for package node, and for the rooms that need peers (gossip, fetch).
// It knows three ways: static peers that the user named, which it keeps
// connected; peers on the local network, over multicast DNS; and provider
// records in a distributed hash table (DHT; kad-dht) under aml's own prefix, made
// up of exactly the peers that this node is connected to and those that they
// know. It must never contact anybody who is not one of these: there are no
// built-in bootstrap peers, and no public network. It must never learn what a
// key stands for, and never move a blob.
//
// A provider record is a hint from strangers: it may be wrong, old, or a lie,
// and naming a peer costs nothing. Callers verify what they get.
package tracker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

// Limits of this package.
const (
	MaxKeys   = 1 << 20 // announced keys
	MaxStatic = 1024    // static peers
	MaxFound  = 50      // peers that one Find yields, unless Config says otherwise
)

var (
	// ErrTooMany: MaxKeys or MaxStatic is reached.
	ErrTooMany = errors.New("too many")

	// ErrUsed: Run was called a second time.
	ErrUsed = errors.New("tracker: Run may be called once")
)

// Config says how a Tracker finds peers.
type Config struct {
	// Host is what everything goes through. Required. Not closed here.
	Host host.Host

	// Static are peers to stay connected to; see AddStatic.
	Static []peer.AddrInfo

	// LAN searches and answers on the local network (multicast DNS). It
	// tells everybody there that this node runs, and its peer id.
	LAN bool

	// DHT takes part in the distributed hash table, both asking and answering. Without
	// it Announce only remembers, and Find has static and LAN peers alone.
	DHT bool

	// Prefix begins the DHT's protocol id: nodes with another prefix
	// are another network. If empty, "/aml".
	Prefix protocol.ID

	// Service is the multicast DNS service name. If empty, "_aml._udp".
	Service string

	// Interval is how often a key is announced that is stored on as many
	// peers as it can be. If zero, 22 hours; records live for 48.
	Interval time.Duration

	// SparseInterval is the same for a key that is stored on fewer, because
	// the network is small: each of them matters. It is also how often static
	// and LAN peers are told of every key. If zero, 15 minutes.
	SparseInterval time.Duration

	// Parallel bounds the regions of keys announced at once; up to as many
	// more are for keys that were never announced. If zero, 8.
	Parallel int

	// FindTime bounds one Find. If zero, 10 seconds.
	FindTime time.Duration

	// MaxPeers bounds the peers that one Find yields. If zero, MaxFound.
	MaxPeers int

	// Dialable says whether an address that some peer told of may be used.
	// If nil, every one may.
	Dialable func(ma.Multiaddr) bool

	// OnEvent is told what happens. It is called from several goroutines
	// with no lock held, and must return soon. If nil, nobody is told.
	OnEvent func(Event)
}

func (c *Config) validate() error {
	if c.Host == nil {
		return errors.New("tracker: no host")
	}
	if c.Interval < 0 || c.SparseInterval < 0 || c.FindTime < 0 || c.Parallel < 0 || c.MaxPeers < 0 {
		return errors.New("tracker: negative interval or limit")
	}
	if c.Prefix == "" {
		c.Prefix = "/aml"
	}
	if c.Service == "" {
		c.Service = "_aml._udp"
	}
	if c.Interval == 0 {
		c.Interval = 22 * time.Hour
	}
	if c.SparseInterval == 0 {
		c.SparseInterval = 15 * time.Minute
	}
	if c.Parallel == 0 {
		c.Parallel = 8
	}
	if c.FindTime == 0 {
		c.FindTime = 10 * time.Second
	}
	if c.MaxPeers == 0 {
		c.MaxPeers = MaxFound
	}
	if c.Dialable == nil {
		c.Dialable = func(ma.Multiaddr) bool { return true }
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return nil
}

// Tracker is made by New. Its methods may be called from many goroutines at
// once, before and during Run.
type Tracker struct {
	cfg    Config
	keys   *announcer
	static *keeper
	lan    *lan // nil without LAN

	patience time.Duration // that Find waits for a first peer; tests shorten it
	tellTime time.Duration // that a peer has to take records; tests shorten it

	ready chan struct{} // closed once table is set, or Run has ended

	mu    sync.Mutex
	used  bool   // guarded by mu: Run was called
	table *table // guarded by mu: nil without DHT, before and after Run
}

// New checks cfg. It starts nothing; see Run.
func New(cfg Config) (*Tracker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Tracker{cfg: cfg, patience: peerWait, tellTime: askTime, ready: make(chan struct{})}
	t.keys = newAnnouncer(newSchedule(cfg.Interval, cfg.SparseInterval, cfg.Parallel), cfg.OnEvent)
	t.static = newKeeper(cfg.Host, cfg.OnEvent)
	if cfg.LAN {
		t.lan = newLAN(cfg.Host, cfg.Service, cfg.OnEvent)
	}
	if err := t.static.add(cfg.Static...); err != nil {
		return nil, err
	}
	return t, nil
}

// Run connects to the static peers, searches the local network and takes part
// in the DHT, until ctx ends; it then returns nil, with all its
// goroutines ended. Any other return is an error. It may be called once.
func (t *Tracker) Run(ctx context.Context) error {
	t.mu.Lock()
	used := t.used
	t.used = true
	t.mu.Unlock()
	if used {
		return ErrUsed
	}
	readyOnce := sync.OnceFunc(func() { close(t.ready) })
	defer readyOnce()

	g, gctx := errgroup.WithContext(ctx) // ctx itself says whether Run was to end
	if t.cfg.DHT {
		table, err := newTable(t.cfg, t.patience, t.tellTime, t.near)
		if err != nil {
			return fmt.Errorf("starting the DHT: %w", err)
		}
		defer table.close()
		t.setTable(table)
		defer t.setTable(nil)
		g.Go(func() error { return table.run(gctx, t.keys.online, t.keys.joined) })
		g.Go(func() error { return t.keys.run(gctx, table) })
		g.Go(func() error { return t.tellNear(gctx, table) })
	}
	readyOnce()
	g.Go(func() error { return t.static.run(gctx) })
	if t.lan != nil {
		g.Go(func() error { return t.lan.run(gctx) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Announce says that this node has what keys stand for, now if there are peers
// to tell, else as soon as there are; and again by interval, until Unannounce.
// It returns at once; see Announced and the events. A key announced less than
// a minute ago is not announced again.
func (t *Tracker) Announce(ctx context.Context, keys ...Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.keys.add(keys...); err != nil {
		return fmt.Errorf("announcing %d keys: %w", len(keys), err)
	}
	if table := t.getTable(); table != nil {
		for _, k := range keys {
			table.keep(ctx, k)
		}
	}
	return nil
}

// Unannounce stops announcing keys. Records already stored with other peers
// stay there until they expire, which takes up to 48 hours.
func (t *Tracker) Unannounce(keys ...Key) {
	t.keys.remove(keys...)
	if table := t.getTable(); table != nil {
		for _, k := range keys {
			table.forget(k)
		}
	}
}

// Announced returns when key was last stored with other peers, and with how
// many; zero if never.
func (t *Tracker) Announced(key Key) (last time.Time, copies int) { return t.keys.announced(key) }

// AddStatic adds peers to stay connected to, merging the addresses of known
// ones, of which the newest 32 are kept. The host's own id is left out. Over
// MaxStatic gives ErrTooMany.
func (t *Tracker) AddStatic(peers ...peer.AddrInfo) error { return t.static.add(peers...) }

func (t *Tracker) setTable(table *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.table = table
}

func (t *Tracker) getTable() *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.table
}
