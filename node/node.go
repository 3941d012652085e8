// Package node assembles everything into one running participant: it opens the
// store and the catalogue, owns the libp2p host and every goroutine, and
// carries out what a user asks for. It is publisher, subscriber and mirror.
//
// It decides how the rooms below it work together and nothing that one of them
// could decide alone: no format, no protocol, no scheduling. It must never know
// how it is asked (node/api) or by what program (cmd/aml).
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/account"
	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/flock"
	"github.com/anonymous-media-library/aml/internal/sqlite"
	"github.com/anonymous-media-library/aml/node/transport"
	"github.com/anonymous-media-library/aml/publisher"
)

// ErrInUse: another process runs a node on this home.
var ErrInUse = errors.New("home is in use")

// Config is what Open needs.
type Config struct {
	config.Config
	Log *slog.Logger // if nil, slog.Default()

	Network bool // start the network; without it, whatever needs it fails
	Resume  bool // go on with every subscription that the catalogue remembers
}

// Node is one participant. Open makes it and Run runs it; the methods that
// carry out requests may be called from many goroutines while Run runs, those
// that need no network also before.
type Node struct {
	cfg      Config
	log      *slog.Logger
	started  time.Time
	lock     *flock.Lock
	identity crypto.PrivKey
	disk     *diskstore.Store
	blobs    *inplace.Store // disk, and the blobs that lie in files
	book     *account.Book  // what was moved with whom
	catalog  *catalog.Catalog
	pub      *publisher.Publisher
	keyFiles keyfile.Keys // reads keys, also those that plugins hold
	bus      bus
	follows  follows
	works    works
	asked    asked
	plugins  plugged
	sources  polling

	documents bindings[DocumentInfo]
	natsHome  natsHome
	mirrors   mirrors
	filling   filling

	damaged chan blobnet.ID // to be had again
	mending atomic.Int32    // scrubs with repair that run
	deleted chan struct{}   // holds one: files that are announced may be gone
	ageing  ageing
	letting lettingGo
	rooting sync.Mutex // guards the file of roots

	ready chan struct{} // closed when net is set, or Run needs no network
	net   *network      // nil until ready, and without Config.Network
}

// Open takes the home's lock, or fails with ErrInUse, and opens what is on
// disk, making it where it is missing. It starts nothing.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	for _, dir := range []string{cfg.Paths.Home, cfg.Paths.Keys} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, noRoom(cfg.Paths.Home, fmt.Errorf("making the home folder: %w", err))
		}
	}
	lock, err := flock.TryLock(cfg.Paths.Lock)
	if errors.Is(err, flock.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, noRoom(cfg.Paths.Home, fmt.Errorf("locking the home %s: %w", cfg.Paths.Home, err))
	}
	n := &Node{cfg: cfg, log: cfg.Log, started: time.Now(), lock: lock, ready: make(chan struct{}), damaged: make(chan blobnet.ID, maxDamaged), deleted: make(chan struct{}, 1), ageing: newAgeing(), natsHome: natsHome{turn: make(chan struct{}, 1)}, mirrors: mirrors{turn: make(chan struct{}, 1)}, filling: newFilling()}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(noRoom(cfg.Paths.Home, err), n.Close())
	}
	return n, nil
}

// firstRoom is how much room a home takes that is new, with some to spare.
const firstRoom = 2 << 20

// noRoom says of an error of a full disk which disk it is, and how much room helps.
func noRoom(home string, err error) error {
	if !sqlite.IsFull(err) && !disk.IsFull(err) {
		return err
	}
	return fmt.Errorf("the disk of the home %s is full: make room, %d MiB for a home that is new, then run this again: %w", home, firstRoom>>20, err)
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.identity, err = transport.LoadOrCreateIdentity(n.cfg.Paths.Identity); err != nil {
		return err
	}
	if n.disk, err = diskstore.Open(diskstore.Config{
		Dir: n.cfg.Paths.Blobs, MaxSize: n.cfg.Quota.Bytes, MaxPercent: n.cfg.Quota.Percent, MinFree: orNone(n.cfg.MinFree),
		OnEvent: n.onStore,
	}); err != nil {
		return fmt.Errorf("opening the blob store: %w", err)
	}
	if n.blobs, err = inplace.Open(ctx, inplace.Config{Inner: n.disk, Path: n.cfg.Paths.InPlace, OnEvent: n.onInPlace}); err != nil {
		return fmt.Errorf("opening the blob store: %w", err)
	}
	if n.book, err = account.Open(ctx, account.Config{Path: n.cfg.Paths.Accounts, OnProblem: func(err error) {
		n.log.Warn("counting what is moved with whom", "error", err)
	}}); err != nil {
		return err
	}
	if n.catalog, err = catalog.Open(ctx, catalog.Config{Path: n.cfg.Paths.Catalog}); err != nil {
		return fmt.Errorf("opening the catalogue: %w", err)
	}
	if err := n.warnOfLostCatalogue(ctx); err != nil {
		return err
	}
	if err := n.openPlugins(ctx); err != nil {
		return err
	}
	memory, err := n.openMemory()
	if err != nil {
		return err
	}
	n.keyFiles.Sign = n.signByPlugin
	n.pub, err = publisher.New(publisher.Config{Blobs: n.blobs, InPlace: n.blobs, Ledger: n.catalog, Keys: n.keyFiles, Memory: memory, Broadcast: n.broadcast})
	if err != nil {
		return fmt.Errorf("opening the publisher: %w", err)
	}
	if err := n.openLetGo(ctx); err != nil {
		return err
	}
	return n.recovered(ctx)
}

// orNone turns "0 means none" into the store's "below zero means none".
func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// Ready is closed once requests that need the network can be made.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Run runs the node until ctx ends or a part of it fails, and waits for all of
// it to end. It returns nil after an end by ctx.
func (n *Node) Run(ctx context.Context) error {
	defer n.runPlugins(ctx)()
	if !n.cfg.Network {
		close(n.ready)
		<-ctx.Done()
		return nil
	}
	net, err := n.newNetwork()
	if err != nil {
		return err
	}
	if err := n.hideLookUps(ctx, net); err != nil {
		return errors.Join(err, net.host.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	net.start(ctx, group)
	n.follows.open(ctx, group)
	n.net = net
	close(n.ready)
	group.Go(func() error { return n.book.Run(ctx) })
	group.Go(func() error { return n.repair(ctx) })
	group.Go(func() error { return n.keepHeld(ctx) })
	group.Go(func() error { return n.keepLettingGo(ctx) })
	group.Go(func() error { return n.keepTellingTurns(ctx) })
	if n.cfg.Resume { // a daemon
		group.Go(func() error { return n.scrubForever(ctx) })
		group.Go(func() error { return n.serveRoots(ctx) })
		group.Go(func() error { return n.pollForever(ctx) })
		group.Go(func() error { return n.renderForever(ctx) })
		group.Go(func() error { return n.fillForever(ctx) })
	} else {
		lent := lending{}
		n.lendBound(ctx, lent)
		defer lent.close()
	}
	group.Go(func() error { return n.serveOwn(ctx) })
	if n.cfg.Resume {
		group.Go(func() error { return n.retainForever(ctx) })
		group.Go(func() error { return n.keepReadingOwn(ctx) })
	}
	if n.cfg.Resume {
		group.Go(func() error { return n.resume(ctx) })
	}
	err = group.Wait()
	net.bridges.close()
	if closeErr := net.host.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("closing the network: %w", closeErr)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// Close closes what Open opened. Call it after Run has returned.
func (n *Node) Close() error {
	errs := []error{n.closePlugins(), n.mirrors.close(), n.filling.close()}
	if n.catalog != nil {
		errs = append(errs, n.catalog.Close())
	}
	if n.book != nil {
		errs = append(errs, n.book.Close())
	}
	if n.blobs != nil {
		errs = append(errs, n.blobs.Close())
	}
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	return errors.Join(append(errs, n.lock.Unlock())...)
}

// errOffline: a request needs the network of a node that was opened without.
var errOffline = errors.New("this command runs without network")

// online returns the network, once it is up.
func (n *Node) online(ctx context.Context) (*network, error) {
	select {
	case <-n.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if n.net == nil {
		return nil, errOffline
	}
	return n.net, nil
}

// broadcast tells the network of new envelopes of an own channel. Without a
// network nothing is lost: they are stored, and served when there is one.
func (n *Node) broadcast(ctx context.Context, id channel.ID, envelopes ...[]byte) error {
	if !n.cfg.Network {
		return nil
	}
	net, err := n.online(ctx)
	if err != nil {
		return err
	}
	return net.gossip.Publish(ctx, id, envelopes...)
}
