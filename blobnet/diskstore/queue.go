package diskstore

import (
	"context"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Work is put off until there is this much of it; then a goroutine of the
// store's own does it, one for each kind, while Puts go on.
const (
	flushRows    = 1024    // rows that wait for the index, or, if that is more, ...
	flushPart    = 64      // ... this part of the blobs stored: a batch writes as many pages as it has rows ...
	flushMost    = 16384   // ... but no more
	flushTouches = 16384   // use times that wait for the index
	maxTouches   = 1 << 16 // as many wait if the index cannot keep up; further uses are not noted
	syncBlobs    = 1 << 16 // blobs not known to survive a power loss ...
	syncBytes    = 1 << 30 // ... and their bytes: what a start after a crash has to hash
)

// row is one stored blob on its way into the index.
type row struct {
	id   blobnet.ID
	size int64
	used int64 // microseconds since 1970, made unique and ascending
	gen  int64 // the blob is durable once a sync has confirmed this generation
	crc  int64 // see sums
}

func byID(a, b row) int { return a.id.Compare(b.id) }

// use is what a reading of a blob adds to its row.
type use struct {
	at  int64 // as row.used
	crc int64 // unless noSum
}

// queue is what the index has not been told yet.
type queue struct {
	rows    []row
	erased  []blobnet.ID       // before rows: blobs that a start found gone, when the disk was full
	touched map[blobnet.ID]use // of blobs already in the index
	last    int64              // the newest use time given out
	gen     int64              // of blobs that are put now

	flushing, syncing bool // a worker of the store's own is
	holdOff           int  // rows and blobs to wait for after a worker met an error
}

func (q *queue) init() { q.touched = make(map[blobnet.ID]use) }

// stamp gives out a use time. Called with Store.mu held.
func (s *Store) stamp() int64 {
	s.queue.last = max(s.queue.last+1, s.cfg.Now().UnixMicro())
	return s.queue.last
}

// touch notes that id was used, and its checksum if that was not known. The
// note costs no disk write: it goes to the index with others.
func (s *Store) touch(id blobnet.ID, crc int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, waits := s.queue.touched[id]
	if !waits && len(s.queue.touched) >= maxTouches {
		return // the disk is full or very slow; the order of eviction may suffer
	}
	if crc == noSum && waits {
		crc = before.crc
	}
	s.queue.touched[id] = use{s.stamp(), crc}
	if len(s.queue.touched) >= flushTouches {
		s.wake()
	}
}

// wake starts workers for what there is enough of. Called with mu held, by a
// call under way.
func (s *Store) wake() {
	if !s.queue.flushing && s.flushDue() {
		s.queue.flushing = true
		s.ops.Add(1)
		go s.work(&s.queue.flushing, s.flushDue, s.flushQueue)
	}
	if !s.queue.syncing && s.syncDue() {
		s.queue.syncing = true
		s.ops.Add(1)
		go s.work(&s.queue.syncing, s.syncDue, s.sync)
	}
}

func (s *Store) flushDue() bool {
	most := max(flushRows, min(int(s.usage.count/flushPart), flushMost))
	return len(s.queue.rows) >= most+s.queue.holdOff || len(s.queue.touched) >= flushTouches+s.queue.holdOff
}

func (s *Store) syncDue() bool {
	return len(s.dirt.ids) >= syncBlobs+s.queue.holdOff || s.dirt.bytes >= syncBytes+int64(s.queue.holdOff)*blobnet.MaxBlobSize
}

// work does what is due and ends. After an error, which the next Sync or Close
// will meet again and report, it leaves the work until there is notably more.
func (s *Store) work(running *bool, due func() bool, do func(context.Context) error) {
	defer s.ops.Done()
	var err error
	for {
		s.mu.Lock()
		if err != nil {
			s.queue.holdOff = len(s.queue.rows) + len(s.queue.touched) + len(s.dirt.ids)
		}
		if err != nil || !due() {
			*running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err = do(context.Background())
	}
}

func (s *Store) flushQueue(ctx context.Context) error {
	idx := <-s.index
	defer func() { s.index <- idx }()
	return s.flush(ctx, idx, flushOptions{})
}

// keepUp has a Put wait for the Sync under way when there is enough for the next
// already: what a start after a crash has to read stays within twice the bound.
// The caller has no claim: a Sync may want one.
func (s *Store) keepUp(ctx context.Context) error {
	s.mu.Lock()
	due := s.syncDue()
	s.mu.Unlock()
	if !due {
		return nil
	}
	select {
	case <-s.syncing:
		s.syncing <- struct{}{}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flushOptions say what else to do in the transaction of a flush.
type flushOptions struct {
	durable bool         // the commit reaches the disk before flush returns
	synced  int64        // if not zero: everything up to this generation is durable
	also    func() error // changes rows after the waiting ones are in
}

// flush writes what waits to idx, which the caller owns. When it fails nothing
// is lost: all waits on.
func (s *Store) flush(ctx context.Context, idx *index, opt flushOptions) error {
	s.mu.Lock()
	rows, erased, touched, last, gen := s.queue.rows, s.queue.erased, s.queue.touched, s.queue.last, s.queue.gen
	if len(rows) == 0 && len(erased) == 0 && len(touched) == 0 && !opt.durable && opt.synced == 0 && opt.also == nil {
		s.mu.Unlock()
		return nil
	}
	s.queue.rows, s.queue.erased, s.queue.touched = nil, nil, make(map[blobnet.ID]use)
	s.mu.Unlock()

	slices.SortStableFunc(rows, byID) // neighbours are on the same page
	err := idx.write(ctx, opt.durable, func() error {
		for _, id := range erased {
			if err := idx.erase(id); err != nil {
				return err
			}
		}
		for _, r := range rows {
			if err := idx.put(r); err != nil {
				return err
			}
		}
		if err := idx.touchAll(touched, last); err != nil {
			return err
		}
		idx.last, idx.gen = last, gen
		idx.synced = max(idx.synced, opt.synced)
		if opt.also == nil {
			return nil
		}
		return opt.also()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.queue.holdOff = 0
		return nil
	}
	s.queue.rows, s.queue.erased = append(rows, s.queue.rows...), erased // only a start adds to these
	for id, used := range touched {
		if _, newer := s.queue.touched[id]; !newer {
			s.queue.touched[id] = used
		}
	}
	return err
}
