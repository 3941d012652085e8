package catalog

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

var (
	_ feed.Listing = past{}
	_ feed.Hashes  = past{}
)

// OwedAt implements feed.Listing.
func (p past) OwedAt(log channel.PublicKey, seq uint64) (hash channel.Hash, err error) {
	return p.hash("SELECT hash FROM owed WHERE log = ? AND seq = ?", p.k.logs[log], clamp(seq))
}

// Owes implements feed.Listing.
func (p past) Owes(log channel.PublicKey) (bool, error) { return owes(p.t.session, p.k.logs[log]) }

// PageAt implements feed.Listing.
func (p past) PageAt(log channel.PublicKey, page int) ([]byte, error) {
	return p.envelope("SELECT data FROM pages WHERE log = ? AND page = ?", p.k.logs[log], page)
}

// HashAt implements feed.Hashes.
func (p past) HashAt(log channel.PublicKey, seq uint64) (hash channel.Hash, err error) {
	return p.hash("SELECT hash FROM manifests WHERE log = ? AND seq = ?", p.k.logs[log], clamp(seq))
}

func (p past) hash(text string, args ...any) (hash channel.Hash, err error) {
	if err = p.t.get([]any{(*bytes32)(&hash)}, text, args...); errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	return hash, err
}

// saveSnapshot stores a snapshot that was accepted, with its pages, and works out
// what of the log is owed and what does not count any more. Pages that are as in
// the snapshot before are not looked at. before is nil if there was none.
func (t *tx) saveSnapshot(k *known, it *feed.Item, before *feed.SignedSnapshot, o feed.Outcome, p *feed.Pages) error {
	no, snap := k.logs[o.Log], o.Snapshot
	anchor, err := past{t, k}.ManifestAt(o.Log, snap.Seq)
	if errors.Is(err, fs.ErrNotExist) && p.Anchor != nil {
		anchor, err = p.Anchor.Encoded(), nil
	}
	if err != nil {
		return err
	}
	if _, err := t.exec("INSERT OR REPLACE INTO snapshots (log, hash, envelope, anchor) VALUES (?, ?, ?, ?)",
		no, it.Hash[:], it.Encoded(), anchor); err != nil {
		return err
	}
	if before != nil && len(before.Pages) > len(snap.Pages) { // that was made after a backup was restored
		if err := t.dropPages(no, len(snap.Pages)); err != nil {
			return err
		}
	}
	for i, ref := range snap.Pages {
		// The last page of the one before has come to cover more numbers since.
		if before != nil && i < len(before.Pages)-1 && before.Pages[i] == ref {
			continue
		}
		var page channel.SnapshotPage
		switch {
		case ref.Count == 0:
			_, err = t.exec("DELETE FROM pages WHERE log = ? AND page = ?", no, i)
		case before != nil && i < len(before.Pages) && before.Pages[i] == ref:
			var data []byte
			if data, err = (past{t, k}).PageAt(o.Log, i); err == nil {
				page, err = snap.Page(i, data)
			}
		default:
			if page, err = snap.Page(i, p.Data[i]); err == nil {
				_, err = t.exec(`INSERT INTO pages (log, page, data) VALUES (?, ?, ?)
					ON CONFLICT (log, page) DO UPDATE SET data = excluded.data`, no, i, p.Data[i])
			}
		}
		if err == nil {
			err = t.reckon(k.no, no, snap.Seq, i, page)
		}
		if err != nil {
			return fmt.Errorf("page %d of a snapshot: %w", i+1, err)
		}
	}
	return nil
}

// dropPages forgets all pages from a place on, and what they say.
func (t *tx) dropPages(logNo int64, from int) error {
	after := int64(from) * channel.PageSpan
	for _, text := range []string{
		"DELETE FROM owed WHERE log = ? AND seq > ?",
		"DELETE FROM dead WHERE log = ? AND seq > ?",
	} {
		if _, err := t.exec(text, logNo, after); err != nil {
			return err
		}
	}
	_, err := t.exec("DELETE FROM pages WHERE log = ? AND page >= ?", logNo, from)
	return err
}

// reckon works out what is owed and what is dead among the numbers of one page.
func (t *tx) reckon(channelNo, logNo int64, seq uint64, place int, page channel.SnapshotPage) error {
	first, last := int64(place)*channel.PageSpan+1, min(int64(place+1)*channel.PageSpan, clamp(seq))
	here, err := t.positions("SELECT seq, position FROM manifests WHERE log = ? AND seq BETWEEN ? AND ?", logNo, first, last)
	if err != nil {
		return err
	}
	dead, err := t.positions("SELECT seq, position FROM dead WHERE log = ? AND seq BETWEEN ? AND ?", logNo, first, last)
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM owed WHERE log = ? AND seq BETWEEN ? AND ?", logNo, first, last); err != nil {
		return err
	}
	for i := range page.Numbers {
		live := page.At(place, i)
		n := clamp(live.Seq)
		if _, ok := dead[n]; ok {
			if _, err := t.exec("DELETE FROM dead WHERE log = ? AND seq = ?", logNo, n); err != nil {
				return err
			}
		}
		if _, ok := here[n]; ok {
			delete(here, n)
			continue
		}
		if _, err := t.exec("INSERT INTO owed (log, seq, hash) VALUES (?, ?, ?)", logNo, n, live.Hash[:]); err != nil {
			return err
		}
	}
	for n, position := range here {
		if _, ok := dead[n]; ok {
			continue
		}
		if _, err := t.exec("INSERT INTO dead (log, seq, channel, position) VALUES (?, ?, ?, ?)", logNo, n, channelNo, position); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) positions(text string, args ...any) (map[int64]int64, error) {
	out := make(map[int64]int64)
	err := t.each(func(scan func(...any) error) (bool, error) {
		var seq, position int64
		err := scan(&seq, &position)
		out[seq] = position
		return true, err
	}, text, args...)
	return out, err
}

// dropSnapshot forgets a log's snapshot, and what follows from it.
func (t *tx) dropSnapshot(logNo int64) error {
	if err := t.dropPages(logNo, 0); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM snapshots WHERE log = ?", logNo)
	return err
}
