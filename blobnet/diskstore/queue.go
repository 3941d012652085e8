package diskstore

import (
	"context"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Work is put off until there is this much of it; then one goroutine of the
// store's own does it, while Puts go on.
const (
	flushRows    = 1024    // rows that wait for the index
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

// use is what a reading of a blob adds to its row.
type use struct {
	at  int64 // as row.used
	crc int64 // unless noSum
}

// queue is what the index has not been told yet.
type queue struct {
	rows    []row
	touched map[blobnet.ID]use // of blobs already in the index
	last    int64              // the newest use time given out
	gen     int64              // of blobs that are put now

	running bool // the background worker is
	holdOff int  // rows and blobs to wait for after the worker met an error
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

// wake starts the worker if there is enough to do. Called with mu held, by a
// call under way.
func (s *Store) wake() {
	if !s.queue.running && (s.flushDue() || s.syncDue()) {
		s.queue.running = true
		s.ops.Add(1)
		go s.work()
	}
}

func (s *Store) flushDue() bool {
	return len(s.queue.rows) >= flushRows+s.queue.holdOff || len(s.queue.touched) >= flushTouches+s.queue.holdOff
}

func (s *Store) syncDue() bool {
	return len(s.dirt.ids) >= syncBlobs+s.queue.holdOff || s.dirt.bytes >= syncBytes+int64(s.queue.holdOff)*blobnet.MaxBlobSize
}

// work does what is due and ends. After an error, which the next Sync or Close
// will meet again and report, it leaves the work until there is notably more.
func (s *Store) work() {
	defer s.ops.Done()
	ctx := context.Background()
	var err error
	for {
		s.mu.Lock()
		flush, sync := s.flushDue(), s.syncDue()
		if err != nil {
			s.queue.holdOff = len(s.queue.rows) + len(s.queue.touched) + len(s.dirt.ids)
		}
		if err != nil || !flush && !sync {
			s.queue.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if flush {
			idx := <-s.index
			err = s.flush(ctx, idx, flushOptions{})
			s.index <- idx
		}
		if sync && err == nil {
			err = s.sync(ctx)
		}
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
	rows, touched, last, gen := s.queue.rows, s.queue.touched, s.queue.last, s.queue.gen
	if len(rows) == 0 && len(touched) == 0 && !opt.durable && opt.synced == 0 && opt.also == nil {
		s.mu.Unlock()
		return nil
	}
	s.queue.rows, s.queue.touched = nil, make(map[blobnet.ID]use)
	s.mu.Unlock()

	err := idx.write(ctx, opt.durable, func() error {
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
	s.queue.rows = append(rows, s.queue.rows...)
	for id, used := range touched {
		if _, newer := s.queue.touched[id]; !newer {
			s.queue.touched[id] = used
		}
	}
	return err
}
