// Package account keeps count of the bytes moved with each peer: useful ones,
// and the others, both ways.
//
// It is for package node, which tells a Book what the exchange and the scheduler
// report, and shows it. A Book is statistics: it must never decide anything,
// never fail a transfer, and never make one wait for a disk. What a peer is
// called is its business alone; the Book only bounds how many it remembers.
// docs/limits.md says what users see.
package account

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	// Others is the row of the peers that are no longer counted one by one.
	Others = "others"

	// MaxName bounds the name of a peer, in bytes. Longer ones count as Others.
	MaxName = 512

	// maxCount is where a count stops. Two of them do not overflow.
	maxCount = math.MaxInt64 / 2
)

// ErrClosed: the Book was closed.
var ErrClosed = errors.New("account: closed")

// Counts are bytes that went one way. Each byte is counted once.
type Counts struct {
	Useful    int64 // of blobs, or parts, that were wanted and right
	Duplicate int64 // of blobs, or parts, that another peer gave sooner
	Wasted    int64 // of blobs that were wrong, cancelled or broken off
	Overhead  int64 // of everything else: messages, frames, proofs
}

// Total is the sum.
func (c Counts) Total() int64 {
	return plus(plus(c.Useful, c.Duplicate), plus(c.Wasted, c.Overhead))
}

// Plus adds two counts. Sums stop at some 4.6 x 10^18; what is below zero is
// taken for zero.
func (c Counts) Plus(d Counts) Counts {
	return Counts{
		Useful:    plus(c.Useful, d.Useful),
		Duplicate: plus(c.Duplicate, d.Duplicate),
		Wasted:    plus(c.Wasted, d.Wasted),
		Overhead:  plus(c.Overhead, d.Overhead),
	}
}

func plus(a, b int64) int64 {
	return min(min(max(a, 0), maxCount)+min(max(b, 0), maxCount), maxCount)
}

// Row is what was moved with one peer, or with all of them.
type Row struct {
	Peer           string // Others for those that are not told apart
	Received, Sent Counts
	First, Last    time.Time // to within Config.Interval, by the clock of the time
}

// Config says where a Book is.
type Config struct {
	// Path of the file. Required; its folder must exist.
	Path string

	// MaxPeers is how many peers are told apart; beyond it those seen least
	// recently are added up in Others. If zero, 10,000.
	MaxPeers int

	// Interval is how often counts are written; what was counted since is
	// lost with the process. If zero, 10 seconds.
	Interval time.Duration

	// Batch is after how many peers they are written before that. If zero, 1,024.
	Batch int

	// OnProblem is told that a damaged file was moved aside, and that counts
	// cannot be written, once until they can. It must not use the Book. If nil,
	// nobody is told.
	OnProblem func(error)
}

func (c *Config) validate() error {
	if c.Path == "" {
		return errors.New("account: no path")
	}
	if c.MaxPeers < 0 || c.Interval < 0 || c.Batch < 0 {
		return errors.New("account: negative limit")
	}
	if c.MaxPeers == 0 {
		c.MaxPeers = 10_000
	}
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.Batch == 0 {
		c.Batch = 1024
	}
	if c.OnProblem == nil {
		c.OnProblem = func(error) {}
	}
	return nil
}

// Book is opened with Open. Its methods may be called from many goroutines at
// once.
type Book struct {
	cfg Config

	// file is the open file. Whoever receives it owns it until he sends it
	// back; closed with the Book.
	file   chan *file
	failed bool          // the last write failed; the file's owner's
	full   chan struct{} // there is a batch to write; capacity 1

	mu      sync.Mutex
	pending map[string]*sums // guarded by mu: not yet written
}

// sums is what was counted since the last write.
type sums struct {
	received, sent Counts
	twice          int64 // of what was received as useful, or is about to be, came twice
}

// move makes duplicate of useful what came twice. The rest waits for the useful
// bytes to be counted.
func (s *sums) move() {
	n := min(s.twice, s.received.Useful)
	s.received.Useful -= n
	s.received.Duplicate = plus(s.received.Duplicate, n)
	s.twice -= n
}

// Open opens the Book at cfg.Path, and makes it if it is missing. A file that is
// damaged, or something else, is moved aside, and an empty one made. One of
// another version of aml is left alone: what is counted then is lost with the
// process, as OnProblem is told. Open starts nothing: see Run. The caller closes
// the Book.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Book{cfg: cfg, file: make(chan *file, 1), full: make(chan struct{}, 1), pending: make(map[string]*sums)}
	f, err := openFile(ctx, cfg.Path)
	if isDamaged(err) {
		f, err = b.replace(ctx, nil, err)
	}
	if err != nil && !errors.Is(err, errNewer) {
		return nil, fmt.Errorf("opening accounts: %w", err)
	}
	if err != nil { // there is no file: a node does not stand still for its statistics
		b.failed = true
		b.cfg.OnProblem(fmt.Errorf("opening accounts: %w", err))
	}
	b.file <- f
	return b, nil
}

// Add counts bytes received from peer and sent to it. It takes no longer than
// a map does.
func (b *Book) Add(peer string, received, sent Counts) {
	if peer == "" || len(peer) > MaxName {
		peer = Others
	}
	b.mu.Lock()
	b.add(peer, sums{received: received, sent: sent})
	full := len(b.pending) >= b.cfg.Batch
	b.mu.Unlock()
	if full {
		select {
		case b.full <- struct{}{}:
		default:
		}
	}
}

// Twice counts n bytes from peer, which Add has counted as useful or is about to,
// as duplicate instead: who counts bytes as they come does not know what others gave
// meanwhile.
func (b *Book) Twice(peer string, n int64) {
	if peer == "" || len(peer) > MaxName {
		peer = Others
	}
	b.mu.Lock()
	b.add(peer, sums{twice: max(n, 0)})
	b.mu.Unlock()
}

// add counts; b.mu is held.
func (b *Book) add(peer string, more sums) {
	s := b.pending[peer]
	if s == nil && len(b.pending) >= 4*b.cfg.Batch {
		// Nobody writes, or not fast enough.
		peer = Others
		s = b.pending[peer]
	}
	if s == nil {
		s = &sums{}
		b.pending[peer] = s
	}
	s.received, s.sent = s.received.Plus(more.received), s.sent.Plus(more.sent)
	s.twice = plus(s.twice, more.twice)
	s.move()
}

// Run writes what is counted, every Interval and by the Batch, until ctx ends;
// it then writes the rest and returns nil. Counts that cannot be written are
// kept, and tried again; nothing of that is an error.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(b.cfg.Interval)
	defer tick.Stop()
	full := b.full // nil after a failure, until the next tick
	for {
		select {
		case <-ctx.Done():
			// What fails here is tried once more by Close.
			_ = b.Flush(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			full = b.full
		case <-full:
		}
		if b.Flush(ctx) != nil { // OnProblem was told
			full = nil
		}
	}
}

// Close writes what was counted, and closes the file. What is added afterwards
// is lost. Closing twice gives ErrClosed.
func (b *Book) Close() error {
	ctx := context.Background()
	f, err := b.take(ctx)
	if err != nil {
		return err
	}
	if f, err = b.flush(ctx, f); errors.Is(err, errNewer) {
		err = nil // Open has told it
	}
	close(b.file)
	if f != nil {
		err = errors.Join(err, f.close())
	}
	return err
}

// take gives the file to the caller, who gives it back with b.file <- f.
func (b *Book) take(ctx context.Context) (*file, error) {
	select {
	case f, ok := <-b.file:
		if !ok {
			return nil, ErrClosed
		}
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
