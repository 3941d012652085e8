package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Info is what is known of a channel.
type Info struct {
	ID            channel.ID
	Discovery     channel.Hash
	Reason        Reason
	HasRoot       bool
	Root          channel.Root // the newest, when HasRoot
	Logs          []LogInfo    // by key
	Releases      int64
	Entries       int64 // live ones
	Bytes         int64 // their plaintext
	MissingBodies int64
	Sealed        int64  // releases that nobody has opened here
	SealedTitle   string // of a private channel, for those who have a read key
	Position      int64  // of the newest release, 0 for none

	Fresh       bool         // every log that may still publish is fresh, and there is one
	Forked      bool         // a log is frozen, or the root's fork has been proven
	RootFork    bool         // the latter: nothing says which history is the one
	RootHash    channel.Hash // of the newest, when HasRoot
	RootExpired bool
	Behind      bool // a head names manifests that we miss
}

// LogInfo is what is known of one log.
type LogInfo struct {
	Log         channel.PublicKey
	Seq         uint64 // of the newest manifest, 0 for none
	Hash        channel.Hash
	Issued      channel.Time
	RootVersion uint64
	Epoch       uint64
	Head        *channel.Head // the newest that our manifests confirm
	Claimed     uint64        // what the latest head names beyond our manifests, 0 for nothing
	Frozen      bool          // by a proven fork that no root has settled

	Snapshot     uint64       // the number that the newest snapshot ends with, 0 for none
	SnapshotHash channel.Hash // of its payload
	Joined       uint64       // up to here releases may be missing, since they do not count any more
	Owed         int64        // releases that the snapshot lists and that have not come yet: from OwedFrom to OwedTo
	OwedFrom     uint64
	OwedTo       uint64

	feed.Status
}

// Channel returns what is known of one channel.
func (c *Catalog) Channel(ctx context.Context, id channel.ID) (Info, error) {
	var info Info
	err := c.view(ctx, "reading channel", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			info, err = readInfo(s, no, c.cfg.Now())
		}
		return err
	})
	return info, err
}

// Channels returns all channels, the strongest reason first and then as they
// were found.
func (c *Catalog) Channels(ctx context.Context) ([]Info, error) {
	var out []Info
	err := c.view(ctx, "reading channels", func(s *session) (err error) {
		out, err = readInfos(s, c.cfg.Now())
		return err
	})
	return out, err
}

// readInfos reads all channels in a few queries: one for each would take most of
// the time where there are thousands.
func readInfos(s *session, now time.Time) ([]Info, error) {
	var out []Info
	var states []feed.State
	at := make(map[int64]int) // of a channel's number in out
	err := s.each(func(scan func(...any) error) (bool, error) {
		var no int64
		var info Info
		var state feed.State
		var envelope []byte
		if err := scan(&no, (*bytes32)(&info.ID), &info.Reason, &info.Entries, &info.Bytes, &info.MissingBodies, &info.Sealed, &info.SealedTitle, &info.Position, &state.RootFork, &envelope); err != nil {
			return false, err
		}
		if envelope != nil {
			root, hash, err := storedRoot(envelope)
			if err != nil {
				return false, fmt.Errorf("channel %s: %w", info.ID, err)
			}
			state.Root, state.RootHash = &root, hash
		} else {
			state.RootFork = false // as loadState says it
		}
		info.Discovery, state.Channel, state.Logs = info.ID.Discovery(), info.ID, make(map[channel.PublicKey]feed.Log)
		at[no] = len(out)
		out, states = append(out, info), append(states, state)
		return true, nil
	}, `SELECT no, id, reason, entries, bytes,
			(SELECT count(*) FROM manifests WHERE channel = no AND state = 1),
			(SELECT count(*) FROM manifests WHERE channel = no AND state = 3),
			coalesce((SELECT title FROM read_keys WHERE channel = id AND title <> '' ORDER BY epoch DESC LIMIT 1), ''),
			coalesce((SELECT position FROM manifests WHERE channel = no ORDER BY position DESC LIMIT 1), 0),
			root_fork, (SELECT envelope FROM roots r WHERE r.channel = c.no AND r.version = c.version)
		FROM channels c ORDER BY reason DESC, no`)
	if err != nil {
		return nil, err
	}
	err = s.each(func(scan func(...any) error) (bool, error) {
		var no int64
		_, key, log, err := scanLog(scan, &no)
		if i, ok := at[no]; ok && err == nil {
			states[i].Logs[key] = log
		}
		return true, err
	}, "SELECT channel, "+logColumns+" FROM logs")
	if err != nil {
		return nil, err
	}
	debts, err := readDebts(s, 0)
	for no, i := range at {
		out[i].judge(states[i], debts[no], now)
	}
	return out, err
}

// readInfo reads one channel, and judges it at the time now.
func readInfo(s *session, no int64, now time.Time) (Info, error) {
	var info Info
	err := s.get([]any{(*bytes32)(&info.ID), &info.Reason, &info.Entries, &info.Bytes, &info.MissingBodies, &info.Sealed, &info.SealedTitle, &info.Position},
		`SELECT id, reason, entries, bytes,
			(SELECT count(*) FROM manifests WHERE channel = no AND state = 1),
			(SELECT count(*) FROM manifests WHERE channel = no AND state = 3),
			coalesce((SELECT title FROM read_keys WHERE channel = id AND title <> '' ORDER BY epoch DESC LIMIT 1), ''),
			coalesce((SELECT position FROM manifests WHERE channel = no ORDER BY position DESC LIMIT 1), 0)
		FROM channels WHERE no = ?`, no)
	if err != nil {
		return Info{}, err
	}
	info.Discovery = info.ID.Discovery()
	state, _, err := loadState(s, no, info.ID)
	if err != nil {
		return Info{}, fmt.Errorf("channel %s: %w", info.ID, err)
	}
	debts, err := readDebts(s, no)
	if err != nil {
		return Info{}, fmt.Errorf("channel %s: %w", info.ID, err)
	}
	info.judge(state, debts[no], now)
	return info, nil
}

// debt is what is owed of a log.
type debt struct {
	count    int64
	from, to uint64
}

// readDebts reads what is owed, by the number of the channel: of one channel, or
// with 0 of all.
func readDebts(s *session, no int64) (map[int64]map[channel.PublicKey]debt, error) {
	out := make(map[int64]map[channel.PublicKey]debt)
	take := func(scan func(...any) error) (bool, error) {
		var of int64
		var key channel.PublicKey
		var d debt
		if err := scan(&of, (*bytes32)(&key), &d.count, &d.from, &d.to); err != nil {
			return false, err
		}
		if out[of] == nil {
			out[of] = make(map[channel.PublicKey]debt)
		}
		out[of][key] = d
		return true, nil
	}
	if no == 0 {
		return out, s.each(take, `SELECT channel, key, count(*), min(owed.seq), max(owed.seq) FROM owed
			CROSS JOIN logs ON logs.no = owed.log GROUP BY owed.log`)
	}
	return out, s.each(take, `SELECT channel, key, count(*), min(owed.seq), max(owed.seq) FROM logs
		CROSS JOIN owed ON owed.log = logs.no WHERE channel = ? GROUP BY logs.no`, no)
}

// judge fills in what follows from the state.
func (info *Info) judge(state feed.State, debts map[channel.PublicKey]debt, now time.Time) {
	info.Forked, info.RootFork, info.RootHash = state.RootFork, state.RootFork, state.RootHash
	if state.Root != nil {
		info.HasRoot, info.Root = true, *state.Root
		info.RootExpired = now.After(state.Root.Expires.Time())
	}
	live, fresh := 0, 0
	keys := slices.SortedFunc(maps.Keys(state.Logs), func(a, b channel.PublicKey) int { return a.Compare(b) })
	for _, key := range keys {
		log := state.Logs[key]
		l := LogInfo{Log: key, Seq: log.Seq, Hash: log.Hash, Issued: log.Issued, RootVersion: log.Root,
			Epoch: log.Epoch, Joined: log.Joined, Status: state.Status(key, now)}
		if log.Snapshot != nil {
			l.Snapshot, l.SnapshotHash = log.Snapshot.Seq, log.Snapshot.Payload
		}
		if d, ok := debts[key]; ok { // the view is not what its head confirms yet
			l.Owed, l.OwedFrom, l.OwedTo, l.Behind, l.Fresh = d.count, d.from, d.to, !l.Revoked, false
		}
		l.Frozen = log.Frozen > 0 && !l.Revoked // a root that revokes the key has said which history stands
		if log.Head != nil {
			l.Head = &log.Head.Head
		}
		if log.Claim != nil {
			l.Claimed = log.Claim.Seq
		}
		info.Logs = append(info.Logs, l)
		info.Releases += int64(log.Seq)
		info.Forked = info.Forked || l.Frozen
		info.Behind = info.Behind || l.Behind
		if l.Publishes {
			live++
			if l.Fresh {
				fresh++
			}
		}
	}
	info.Fresh = live > 0 && live == fresh
}
