package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/reconcile"
)

// states remembers the digests of the state vectors of channels that are more than
// listed: reading 100,000 of them takes seconds, reading their revisions a moment,
// and mostly nothing has changed at all.
type states struct {
	turn chan struct{} // holds one: who has it may use what follows
	good bool          // all is as it was at change number at
	at   uint64
	rows []stateRow // ascending by no
	list []reconcile.Channel
}

// stateRow is what a digest is of.
type stateRow struct{ no, revision int64 }

func newStates() *states {
	s := &states{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// States returns all channels that are followed or owned, each with the digest of
// its state vector. The list is shared: it must not be changed.
func (c *Catalog) States(ctx context.Context) ([]reconcile.Channel, error) {
	st := c.states
	select {
	case <-st.turn:
		defer func() { st.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("reading states of channels: %w", ctx.Err())
	}
	at := c.committed.Load() // before the read: what is committed meanwhile is read again
	if st.good && st.at == at {
		return st.list, nil
	}
	err := c.view(ctx, "reading states of channels", st.refresh)
	if err != nil {
		return nil, err
	}
	st.good, st.at = true, at
	return st.list, nil
}

// refresh digests again what has another revision.
func (st *states) refresh(s *session) error {
	rows := make([]stateRow, 0, len(st.rows))
	list := make([]reconcile.Channel, 0, len(st.list))
	var stale []int // numbers in list
	old := 0
	err := s.each(func(scan func(...any) error) (bool, error) {
		var row stateRow
		var ch reconcile.Channel
		if err := scan(&row.no, &row.revision, (*bytes32)(&ch.ID), (*bytes32)(&ch.Key)); err != nil {
			return false, err
		}
		for old < len(st.rows) && st.rows[old].no < row.no {
			old++
		}
		if old < len(st.rows) && st.rows[old] == row {
			ch = st.list[old]
		} else {
			stale = append(stale, len(list))
		}
		rows, list = append(rows, row), append(list, ch)
		return true, nil
	}, "SELECT no, revision, id, discovery FROM channels WHERE reason > ? ORDER BY no", Listed)
	if err != nil {
		return err
	}
	for len(stale) > 0 { // in runs, since at first it is all of them
		n := 1
		for n < len(stale) && stale[n] == stale[0]+n {
			n++
		}
		if err := digest(s, rows[stale[0]:stale[0]+n], list[stale[0]:stale[0]+n]); err != nil {
			return err
		}
		stale = stale[n:]
	}
	st.rows, st.list = rows, list
	return nil
}

// digest fills in the digests of neighbouring channels.
func digest(s *session, rows []stateRow, list []reconcile.Channel) error {
	all := make([]reconcile.State, len(rows))
	frozen := make(map[int]bool)
	place := func(no int64) (int, bool) {
		return slices.BinarySearchFunc(rows, no, func(r stateRow, no int64) int { return int(r.no - no) })
	}
	first, last := rows[0].no, rows[len(rows)-1].no
	owed := make(map[int64]uint64) // by number of the log
	err := s.each(func(scan func(...any) error) (bool, error) {
		var log int64
		var n uint64
		err := scan(&log, &n)
		owed[log] = n
		return true, err
	}, "SELECT o.log, count(*) FROM logs l JOIN owed o ON o.log = l.no WHERE l.channel BETWEEN ? AND ? GROUP BY o.log", first, last)
	if err != nil {
		return err
	}
	err = s.each(func(scan func(...any) error) (bool, error) {
		var no int64
		row, key, log, err := scanLog(scan, &no)
		if i, ok := place(no); ok && err == nil {
			all[i].Logs = append(all[i].Logs, vector(key, log, owed[row]))
			frozen[i] = frozen[i] || log.Frozen > 0
		}
		return true, err
	}, "SELECT channel, "+logColumns+" FROM logs WHERE channel BETWEEN ? AND ?", first, last)
	if err != nil {
		return err
	}
	err = s.each(func(scan func(...any) error) (bool, error) {
		var no int64
		var version uint64
		var hash []byte
		var forked bool
		err := scan(&no, &version, &forked, &hash)
		if i, ok := place(no); ok {
			all[i].Root, all[i].Forked = version, forked
			if len(hash) == len(channel.Hash{}) {
				h := channel.Hash(hash)
				all[i].Hash = &h
			}
		}
		return true, err
	}, `SELECT no, version, root_fork, (SELECT hash FROM roots r WHERE r.channel = c.no AND r.version = c.version)
		FROM channels c WHERE no BETWEEN ? AND ?`, first, last)
	if err != nil {
		return err
	}
	for i := range all {
		if frozen[i] {
			if err := thaw(s, rows[i].no, list[i].ID, all[i].Logs); err != nil {
				return err
			}
		}
		if list[i].Digest, err = all[i].Digest(); err != nil {
			return err
		}
		list[i].Rooted = all[i].Root > 0
	}
	return nil
}

func vector(key channel.PublicKey, log feed.Log, owed uint64) reconcile.Log {
	mark := func(h *feed.SignedHead) *reconcile.Mark {
		if h == nil {
			return nil
		}
		return &reconcile.Mark{Seq: h.Seq, Issued: h.Issued}
	}
	v := reconcile.Log{Log: key, Epoch: log.Epoch, Seq: log.Seq, Hash: log.Hash, Frozen: log.Frozen, Head: mark(log.Head), Claim: mark(log.Claim), Owed: owed}
	if log.Snapshot != nil {
		v.Snapshot = log.Snapshot.Seq
	}
	return v
}

// thaw leaves out that a log is frozen where a root has said which history stands:
// who comes later is not told of the fork any more.
func thaw(s *session, no int64, id channel.ID, logs []reconcile.Log) error {
	state, _, err := loadState(s, no, id)
	if err != nil || state.Root == nil {
		return err
	}
	for i := range logs {
		if _, revoked := state.Root.RevokedKey(logs[i].Log); revoked {
			logs[i].Frozen = 0
		}
	}
	return nil
}
