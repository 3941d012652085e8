package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// A blob is divided among peers into parts of at least leastPart bytes, at
	// most maxParts of them, and only one of at least leastDivided.
	leastPart, leastDivided = 64 << 10, 128 << 10
	maxParts                = 8
)

// divide begins to get f in parts from those of peers that give parts, if there
// are two at least and it would be faster than what is asked already. Whichever
// is there first wins. s.mu is held.
func (s *Swarm) divide(f *flight, peers mask, l late, now time.Time, guess float64) bool {
	size := f.want.size()
	if f.length > 0 || f.split || f.unsplit || size < leastDivided || f.want.Tree == [32]byte{} {
		return false
	}
	n := 0
	slowest := time.Duration(0)
	peers.each(func(slot int) bool {
		if m := s.slots[slot]; m.givesParts(now) && n < maxParts {
			n++
			slowest = max(slowest, m.estimate(size/2, now, guess))
		}
		return true
	})
	n = min(n, size/leastPart)
	if n < 2 || 2*slowest+raceSlack > l.remaining {
		return false
	}
	risk := f.risk(slowest, now, guess)
	if !l.stalled && !s.mayWaste(risk, f.want.Class) {
		return false
	}
	length := (size/n + blobnet.RangeAlign - 1) / blobnet.RangeAlign * blobnet.RangeAlign
	var parts []*flight
	for at := 0; at < size; at += length {
		p := s.joinRange(f.ctx, f.want, at, min(length, size-at))
		p.barred = p.barred.or(f.busy)
		s.fix(p)
		parts = append(parts, p)
	}
	f.split = true
	f.running++
	s.waste.reserved += risk
	go s.assemble(f, parts, risk)
	for class := range s.queues { // the parts go first in theirs
		if blobnet.Class(class) == f.want.Class {
			s.serve(f.want.Class, peers, peers, now, guess)
		}
	}
	return true
}

// assemble puts f together from parts.
func (s *Swarm) assemble(f *flight, parts []*flight, risk int64) {
	defer s.stopped(f)
	buf := s.getBuffer()
	var err error
	for _, p := range parts {
		select {
		case <-p.done:
		case <-f.asked.Done():
			err = f.asked.Err()
		}
		if err == nil {
			err = p.err
		}
		if err != nil {
			break
		}
		buf = append(buf, p.blob...)
	}
	var twice []Event // if f came otherwise meanwhile
	for _, p := range parts {
		select {
		case <-p.done:
			if p.err == nil && !p.local {
				twice = append(twice, Event{Kind: KindDuplicate, Peer: p.from, ID: f.id, Bytes: int64(len(p.blob))})
			}
		default:
		}
	}
	for _, p := range parts {
		if ended := s.leave(p, true); ended != nil {
			<-ended
		}
	}
	if err == nil && blobnet.Sum(buf) != f.id {
		err = blobnet.ErrCorrupt // the parts fit the tree: that is wrong
	}
	now := time.Now()
	s.mu.Lock()
	f.split = false
	s.waste.reserved -= risk
	late := f.won || f.over || f.refs == 0
	if err == nil && !late {
		f.won = true
		f.enough()
		s.mu.Unlock()
		s.landed(f, buf)
		return
	}
	if late && f.won {
		for _, ev := range twice {
			s.useful(ev.Peer, -ev.Bytes)
			s.duplicate(ev.Peer, ev.Bytes)
			defer s.event(ev)
		}
	}
	f.unsplit = true
	if !late && len(f.asks) == 0 {
		s.uncharge(f)
		s.enqueue(f, now)
	}
	s.pump(now)
	s.mu.Unlock()
	s.putBuffer(buf)
}

// joinRange is join for a part of a blob that is not in the store. s.mu is held.
func (s *Swarm) joinRange(ctx context.Context, w Want, offset, length int) *flight {
	id := flightID{w.ID, offset, length}
	f := s.flights[id]
	fresh := f == nil
	if fresh {
		f = s.begin(ctx, w, id)
	}
	s.hurry(f, w)
	f.refs++
	f.waiting++
	if fresh {
		s.enqueue(f, time.Now())
	} else {
		s.fix(f)
	}
	return f
}

// GetRange appends a part of a blob to dst for a reader who waits for it, as
// blobnet.Ranger says. See FetchRange.
func (s *Swarm) GetRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	w := Want{ID: id, Tree: r.Tree, Size: r.Size, Class: blobnet.Stream, Due: time.Now()}
	return s.FetchRange(ctx, w, r.Offset, r.Length, dst)
}

// FetchRange appends length bytes of the blob from offset on to dst, under the
// rules of blobnet.Ranger. It takes them from the store, or from the blob if
// that is on its way and will be there soon; else it asks one peer that gives
// parts for these alone, at once, and shares them with others who want the same
// part at the same time. What it gets is not stored. Without such a peer, or
// where w has no Tree and Size, it gets the whole blob.
func (s *Swarm) FetchRange(ctx context.Context, w Want, offset, length int, dst []byte) ([]byte, error) {
	if offset < 0 || length <= 0 || length > blobnet.MaxBlobSize || offset > blobnet.MaxBlobSize-length ||
		w.size() > 0 && offset+length > w.size() {
		return dst, fmt.Errorf("fetching blob %s: it has no %d bytes at offset %d", w.ID.Short(), length, offset)
	}
	if s.cfg.Store != nil {
		buf := s.getBuffer()
		blob, err := s.cfg.Store.Get(ctx, w.ID, buf)
		if err == nil {
			defer s.putBuffer(blob)
			return slice(w.ID, blob, offset, length, dst)
		}
		s.putBuffer(buf)
		if !errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, blobnet.ErrCorrupt) {
			return dst, fmt.Errorf("fetching blob %s: %w", w.ID.Short(), err)
		}
	}
	if f := s.aligned(ctx, w, offset, length); f != nil {
		dst, err := s.await(ctx, f, offset-f.offset, length, dst)
		if err == nil || !errors.Is(err, blobnet.ErrNotFound) {
			return dst, err
		}
	}
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	return s.await(ctx, s.join(ctx, w), offset, length, dst)
}

// aligned is the flight of the part that has the bytes, rounded outward to what
// can be verified; nil if the whole blob is to be got.
func (s *Swarm) aligned(ctx context.Context, w Want, offset, length int) *flight {
	size := w.size()
	if size == 0 || w.Tree == [32]byte{} {
		return nil
	}
	end := min((offset+length+blobnet.RangeAlign-1)/blobnet.RangeAlign*blobnet.RangeAlign, size)
	offset -= offset % blobnet.RangeAlign
	if end-offset == size {
		return nil
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	guess := s.guess(now)
	least := time.Duration(-1)
	for _, m := range s.members {
		if m.givesParts(now) && m.ready(now) && !m.lied[w.ID] {
			if e := m.estimate(end-offset, now, guess); least < 0 || e < least {
				least = e
			}
		}
	}
	if least < 0 {
		return nil
	}
	if f := s.flights[flightID{id: w.ID}]; f != nil && len(f.asks) > 0 {
		if l := f.late(now); f.won || l.remaining <= least {
			return nil
		}
	}
	f := s.joinRange(ctx, w, offset, end-offset)
	s.pump(now)
	return f
}

// await appends length bytes of f's from offset on to dst when they are there,
// and leaves f.
func (s *Swarm) await(ctx context.Context, f *flight, offset, length int, dst []byte) ([]byte, error) {
	defer func() {
		if ended := s.leave(f, true); ended != nil {
			<-ended
		}
	}()
	select {
	case <-f.done:
	case <-ctx.Done():
		return dst, fmt.Errorf("fetching blob %s: %w", f.id.Short(), ctx.Err())
	}
	if f.err != nil {
		return dst, fmt.Errorf("fetching blob %s: %w", f.id.Short(), f.err)
	}
	if length < 0 {
		return append(dst, f.blob...), nil
	}
	return slice(f.id, f.blob, offset, length, dst)
}

func slice(id blobnet.ID, blob []byte, offset, length int, dst []byte) ([]byte, error) {
	if offset+length > len(blob) {
		return dst, fmt.Errorf("fetching blob %s: it has %d bytes, not %d at offset %d", id.Short(), len(blob), length, offset)
	}
	return append(dst, blob[offset:offset+length]...), nil
}
