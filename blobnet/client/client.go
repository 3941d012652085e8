package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/codec"
)

// Client seeds and fetches files. All methods may be called from many
// goroutines at once.
type Client struct {
	cfg      Config
	exchange *exchange.Exchange
	losses   losses
	budget   *fetch.Budget // of all that is fetched at once
	swarms   sync.Map      // of *fetch.Swarm: what is fetched now

	mu     sync.Mutex // guards what follows; held for memory work alone
	peers  []fetch.Peer
	seeds  map[tracker.Key]int      // how many Seeds announce it
	opened map[blobnet.ID]*openFile // by the root
}

// New returns a Client that serves nothing yet; fetching works at once. Close
// it, or let its Run end.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, losses: usualLosses, budget: fetch.NewBudget(0), seeds: map[tracker.Key]int{}, opened: map[blobnet.ID]*openFile{}}
	var err error
	c.exchange, err = exchange.New(exchange.Config{
		Host: cfg.Host, Store: cfg.Store, Upload: cfg.Upload, OnEvent: c.onExchange,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the exchange: %w", err)
	}
	return c, nil
}

// Run serves the store's blobs to peers until ctx ends or Close is called, and
// returns nil after everything that the Client started has ended. It may be
// called once.
func (c *Client) Run(ctx context.Context) error { return c.exchange.Run(ctx) }

// Close ends all transfers and waits for them.
func (c *Client) Close() error { return c.exchange.Close() }

// AddPeer lets p be asked by every Fetch and Open that begins afterwards: an
// HTTP mirror, a WebSocket peer, or anything else that has blobs. The caller
// keeps p and closes it, if it has to be, after the Client.
func (c *Client) AddPeer(p fetch.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = append(c.peers, p)
}

// AddAddr is AddPeer for a libp2p peer. It dials nothing yet.
func (c *Client) AddAddr(info peer.AddrInfo) {
	c.know(info, peerstore.PermanentAddrTTL)
	c.AddPeer(c.exchange.Peer(info.ID))
}

func (c *Client) know(info peer.AddrInfo, ttl time.Duration) {
	if len(info.Addrs) > 0 {
		c.cfg.Host.Peerstore().AddAddrs(info.ID, info.Addrs, ttl)
	}
}

// Ingest seals what r gives into the store, in constant memory, and returns
// what opens it: whoever has the File can read the file, and nobody else. The
// blobs are not pinned.
func (c *Client) Ingest(ctx context.Context, r io.Reader, cfg codec.Config) (codec.File, error) {
	return codec.Encode(ctx, r, c.cfg.Store, cfg)
}

// Seed announces files until ctx ends, whose cause it then returns; Run serves
// them. It does not look whether their blobs are in the store: what is missing
// is answered NOT_FOUND. Several Seeds may name one file: it is announced until
// the last of them ends. Without a Tracker there is nobody to tell.
func (c *Client) Seed(ctx context.Context, files ...codec.File) error {
	if c.cfg.Tracker != nil {
		keys := make([]tracker.Key, len(files))
		for i, f := range files {
			keys[i] = tracker.Key(f.Root.ID)
		}
		if err := c.cfg.Tracker.Announce(ctx, keys...); err != nil {
			return fmt.Errorf("announcing: %w", err)
		}
		c.mu.Lock()
		for _, k := range keys {
			c.seeds[k]++
		}
		c.mu.Unlock()
		defer c.unseed(keys)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// unseed ends one Seed of keys. The Tracker is told under the lock, so that a
// Seed which begins meanwhile is not undone.
func (c *Client) unseed(keys []tracker.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys = slices.DeleteFunc(keys, func(k tracker.Key) bool {
		if c.seeds[k]--; c.seeds[k] > 0 {
			return true
		}
		delete(c.seeds, k)
		return false
	})
	c.cfg.Tracker.Unannounce(keys...)
}

// Fetch writes the plaintext of f to dst, in order and as it comes, from the
// store and from whoever has it. What it fetched stays in the store, so that a
// second Fetch asks only for what is missing. When it returns nil the whole
// file was written and its SHA-256 is the one that f states; after any other
// end, codec.ErrHash included, what was written is not to be used. Of a file with
// parity blobs may be lost: they are made out of others, and stored. onProgress,
// which may be nil, is called by one goroutine at a time and must be quick.
func (c *Client) Fetch(ctx context.Context, f codec.File, dst io.Writer, onProgress func(Progress)) error {
	swarm, stop, err := c.swarm(ctx, f)
	if err != nil {
		return err
	}
	defer stop()
	src, err := c.source(swarm, f)
	if err != nil {
		return fmt.Errorf("fetching a file of %d bytes: %w", f.Size, err)
	}
	if onProgress != nil {
		dst = &progressWriter{w: dst, total: int64(f.Size), report: onProgress}
	}
	if _, err := codec.NewReader(ctx, src, f).WriteTo(dst); err != nil {
		return fmt.Errorf("fetching a file of %d bytes: %w", f.Size, err)
	}
	return nil
}

// swarm returns the sources of f. They are looked for until stop is called,
// which waits for the search to end.
func (c *Client) swarm(ctx context.Context, f codec.File) (s *fetch.Swarm, stop func(), err error) {
	s, err = fetch.New(fetch.Config{
		Store: c.cfg.Store, StallTimeout: c.cfg.Patience, Download: c.cfg.Download, Bans: c.cfg.Bans, Budget: c.budget,
		Name: c.cfg.Host.ID().String(), OnEvent: c.onFetch,
	})
	if err != nil {
		return nil, nil, err
	}
	c.swarms.Store(s, nil)
	c.mu.Lock()
	for _, p := range c.peers {
		s.Add(p)
	}
	c.mu.Unlock()
	if c.cfg.Tracker == nil {
		return s, func() { c.swarms.Delete(s) }, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.search(ctx, s, tracker.Key(f.Root.ID))
	}()
	return s, func() {
		c.swarms.Delete(s)
		cancel()
		<-done
	}, nil
}

// findPause is how long to wait after a look for more peers: soon again at
// first, since who begins at the same time may not be announced yet.
func findPause(look int) time.Duration {
	return min(time.Second<<min(look, 4), 15*time.Second)
}

// search adds to s whoever is found under key until ctx ends.
func (c *Client) search(ctx context.Context, s *fetch.Swarm, key tracker.Key) {
	found := map[peer.ID]*exchange.Peer{}
	defer func() {
		for _, p := range found {
			s.Remove(p.Name())
			_ = p.Close() // it only lets go of streams that others may share
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	for look := 0; ; look++ {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		for info := range c.cfg.Tracker.Find(ctx, key) {
			c.know(info, peerstore.TempAddrTTL)
			if info.ID != c.cfg.Host.ID() && found[info.ID] == nil {
				found[info.ID] = c.exchange.Peer(info.ID)
				s.Add(found[info.ID])
			}
		}
		next.Reset(findPause(look))
	}
}

// progressWriter counts what is written.
type progressWriter struct {
	w           io.Writer
	done, total int64
	report      func(Progress)
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.done += int64(n)
	p.report(Progress{Done: p.done, Total: p.total})
	return n, err
}

// onExchange passes on what concerns serving. What is fetched, and from whom
// wrong bytes came, the scheduler tells for peers of every sort.
func (c *Client) onExchange(e exchange.Event) {
	out := Event{Peer: e.Peer.String(), ID: e.ID, IDs: e.IDs, Bytes: e.Bytes, Err: e.Err}
	switch {
	case e.Kind == exchange.KindPeer:
		out.Kind = KindPeer
	case e.Kind == exchange.KindUpload:
		out.Kind = KindUpload
	case e.Kind == exchange.KindHave:
		out.Kind = KindHave
		c.swarms.Range(func(s, _ any) bool {
			s.(*fetch.Swarm).Told(e.Peer.String(), e.IDs)
			return true
		})
	case e.Kind == exchange.KindMisbehaviour && e.ID.IsZero():
		out.Kind = KindDropped
	default:
		return
	}
	c.event(out)
}

func (c *Client) onFetch(e fetch.Event) {
	out := Event{Peer: e.Peer, ID: e.ID, Bytes: e.Bytes, Err: e.Err}
	switch e.Kind {
	case fetch.KindFetched:
		out.Kind = KindDownload
	case fetch.KindDropped:
		out.Kind = KindDropped
	default:
		return
	}
	c.event(out)
}

func (c *Client) event(e Event) {
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(e)
	}
}
