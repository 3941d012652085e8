package catalog

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// putEntry puts one name into the view. Over all logs of a channel, and in
// whatever order releases become known, the same one wins for a name: the one
// issued last, then that of the greater log key; within a log the later
// manifest. Removals stay as tombstones, so that an older entry which arrives
// later doesn't bring a name back.
const putEntry = `INSERT INTO entries (channel, name, issued, log, seq, position, removed, size, entry, reason)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (channel, name) DO UPDATE SET issued = excluded.issued, log = excluded.log, seq = excluded.seq,
		position = excluded.position, removed = excluded.removed, size = excluded.size, entry = excluded.entry, reason = excluded.reason
	WHERE (excluded.issued, excluded.log, excluded.seq) > (entries.issued, entries.log, entries.seq)
	RETURNING no`

// putOutdone keeps what a log says about a name, where another log's word counts:
// its newest word makes a release count in the log's snapshots, and in the view
// if the other log's is withdrawn. A trigger does the same with what is outdone
// later.
const putOutdone = `INSERT INTO outdone (channel, name, log, seq, position) SELECT ?1, ?2, ?3, ?4, ?5
	WHERE NOT EXISTS (SELECT 1 FROM entries WHERE channel = ?1 AND name = ?2 AND log = ?3)
	ON CONFLICT (channel, name, log) DO UPDATE SET seq = excluded.seq, position = excluded.position WHERE excluded.seq > outdone.seq`

// apply puts a release into the view, and into the index of search.
func (t *tx) apply(channelNo, position int64, m *channel.Manifest, body *channel.Body) error {
	if err := t.indexRelease(channelNo, position, m, body); err != nil {
		return err
	}
	for i := range body.Entries {
		e := &body.Entries[i]
		data, err := dcbor.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding entry %q: %w", e.Name, err)
		}
		no, err := t.putEntry(channelNo, e.Name, int64(m.Issued), m.Log[:], int64(m.Seq), position, false, int64(e.Size), data, nil)
		if err == nil && no > 0 {
			err = t.indexEntry(channelNo, no, e)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range body.Removals {
		no, err := t.putEntry(channelNo, r.Name, int64(m.Issued), m.Log[:], int64(m.Seq), position, true, 0, nil, r.Reason)
		if err == nil && no > 0 {
			err = t.unindexEntry(no)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putEntry returns the number of the row that it put or changed, 0 if what was
// there counts for more.
func (t *tx) putEntry(args ...any) (no int64, err error) {
	if err = t.get([]any{&no}, putEntry, args...); errors.Is(err, sql.ErrNoRows) {
		_, err = t.exec(putOutdone, args[0], args[1], args[3], args[4], args[5])
	}
	return no, err
}

// rebuild works out a channel's view from its releases.
func (t *tx) rebuild(channelNo int64) error {
	var former int64
	if err := t.get([]any{&former}, "SELECT coalesce(max(no), 0) FROM former"); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM entries WHERE channel = ?", channelNo); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM outdone WHERE channel = ?", channelNo); err != nil {
		return err
	}
	for after := int64(0); ; {
		rows, err := releasesAfter(t.session, channel.ID{}, channelNo, after, releaseLimit)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			// The pins of what is former were taken back when it became so.
			_, err := t.exec("UPDATE former SET pinned = 0 WHERE no > ?", former)
			return err
		}
		for i := range rows {
			r := &rows[i]
			if r.Body != nil {
				if err := t.apply(channelNo, r.Position, &r.Manifest, r.Body); err != nil {
					return err
				}
			}
			after = r.Position
		}
	}
}
