package diskstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// The changes of rows. Each keeps the sums right, and is called in a
// transaction (index.write) by the owner of the index.

// put says that a blob is stored. It may be known already: pinned before it
// came, or stored under a row that was not removed with its file.
func (x *index) put(r row) error {
	n, err := x.exec("INSERT INTO blobs (id, size, used, pins, gen, crc) VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING", r.id[:], r.size, r.used, r.gen, r.crc)
	if err != nil {
		return err
	}
	var old entry
	if n == 0 {
		if old, err = x.find(r.id); err != nil {
			return err
		}
		x.subtract(old)
		if _, err := x.exec("UPDATE blobs SET size = ?, used = ?, gen = ?, crc = ? WHERE id = ?", r.size, r.used, r.gen, r.crc, r.id[:]); err != nil {
			return err
		}
	}
	x.add(entry{size: r.size, pins: old.pins})
	return nil
}

// Uses are kept exactly while they lie within the last hour. Where they span
// more, a use that comes less than 1/32 of the span after the one before is not
// written: to find that out takes a tenth of the time of moving the row in the
// order of use, and the blobs that are read all day are those that it moves.
const (
	exactUses  = int64(time.Hour / time.Microsecond)
	useBuckets = 32
)

// touchAll moves blobs to where their uses place them in the queue for eviction.
// newest is the last use given out.
func (x *index) touchAll(uses map[blobnet.ID]use, newest int64) error {
	if len(uses) == 0 {
		return nil
	}
	s, err := x.stmt("SELECT coalesce(min(used), ?) FROM blobs WHERE pins = 0")
	if err != nil {
		return err
	}
	var oldest, bucket int64
	if err := s.QueryRowContext(context.Background(), newest).Scan(&oldest); err != nil {
		return err
	}
	if span := newest - oldest; span > exactUses {
		bucket = span / useBuckets
	}
	for _, id := range slices.SortedFunc(maps.Keys(uses), blobnet.ID.Compare) { // neighbours are on the same page
		u := uses[id]
		if _, err := x.exec("UPDATE blobs SET used = ?1 WHERE id = ?2 AND used < ?1 - ?3", u.at, id[:], bucket); err != nil {
			return err
		}
		if u.crc == noSum {
			continue
		}
		if _, err := x.exec("UPDATE blobs SET crc = ? WHERE id = ?", u.crc, id[:]); err != nil {
			return err
		}
	}
	return nil
}

// erase says that a blob is not stored any more; its pins stay.
func (x *index) erase(id blobnet.ID) error {
	e, err := x.find(id)
	if err != nil || e.size < 0 {
		return err
	}
	x.subtract(e)
	if e.pins > 0 {
		_, err = x.exec("UPDATE blobs SET size = -1 WHERE id = ?", id[:])
	} else {
		_, err = x.exec("DELETE FROM blobs WHERE id = ?", id[:])
	}
	return err
}

// pin adds a pin to a blob, stored or not.
func (x *index) pin(id blobnet.ID) error {
	e, err := x.find(id)
	if err != nil {
		return err
	}
	x.subtract(e)
	e.pins++
	x.add(e)
	_, err = x.exec("INSERT INTO blobs (id, size, used, pins, gen) VALUES (?, -1, 0, 1, 0) ON CONFLICT DO UPDATE SET pins = pins + 1", id[:])
	return err
}

// unpin takes one pin away, if there is one.
func (x *index) unpin(id blobnet.ID) error {
	e, err := x.find(id)
	if err != nil || e.pins == 0 {
		return err
	}
	x.subtract(e)
	e.pins--
	x.add(e)
	if e.pins == 0 && e.size < 0 {
		_, err = x.exec("DELETE FROM blobs WHERE id = ?", id[:])
	} else {
		_, err = x.exec("UPDATE blobs SET pins = pins - 1 WHERE id = ?", id[:])
	}
	return err
}

func (t *totals) add(e entry)      { t.book(e, 1) }
func (t *totals) subtract(e entry) { t.book(e, -1) }

func (t *totals) book(e entry, sign int64) {
	if e.size < 0 {
		return
	}
	t.count += sign
	t.size += sign * e.size
	if e.pins > 0 {
		t.pinned += sign
		t.pinnedSize += sign * e.size
	}
}

// victimsAtMost bounds how many blobs one eviction removes.
const victimsAtMost = 4096

// oldest returns the blobs used longest ago, of those that are stored, not
// pinned and that claim lets have, until they are need bytes together, and then
// as many as fit into more bytes. The caller drops the claims on all that are
// returned, also when there is an error.
func (x *index) oldest(ctx context.Context, need, more int64, claim func(blobnet.ID) bool) (victims []row, err error) {
	s, err := x.stmt("SELECT id, size, used FROM blobs WHERE pins = 0 ORDER BY used")
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for len(victims) < victimsAtMost && rows.Next() {
		var r row
		var id []byte
		if err := rows.Scan(&id, &r.size, &r.used); err != nil {
			return victims, err
		}
		if need <= 0 && need+more < r.size {
			break
		}
		if copy(r.id[:], id); claim(r.id) {
			victims = append(victims, r)
			need -= r.size
		}
	}
	return victims, rows.Err()
}

// recount computes the sums from the rows.
func (x *index) recount() error {
	s, err := x.stmt(`SELECT count(*), coalesce(sum(size), 0), coalesce(sum(pins > 0), 0),
		coalesce(sum(CASE WHEN pins > 0 THEN size ELSE 0 END), 0) FROM blobs WHERE size >= 0`)
	if err != nil {
		return err
	}
	return s.QueryRowContext(context.Background()).Scan(&x.count, &x.size, &x.pinned, &x.pinnedSize)
}
