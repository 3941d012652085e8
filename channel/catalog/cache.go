package catalog

import (
	"container/list"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Reason is why a channel is in the catalogue; a stronger one includes the
// weaker ones.
type Reason uint8

// The reasons.
const (
	Listed   Reason = 1 // found on a topic: roots and heads are kept, manifests are not
	Followed Reason = 2
	Owned    Reason = 3
)

// String returns the reason in lower case.
func (r Reason) String() string {
	switch r {
	case Listed:
		return "listed"
	case Followed:
		return "followed"
	case Owned:
		return "owned"
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// known is a channel's machine in memory, with what it is on disk.
type known struct {
	id       channel.ID
	no       int64
	reason   Reason
	revision int64
	machine  *feed.Machine
	saved    map[channel.PublicKey]feed.Log // as on disk
	logs     map[channel.PublicKey]int64    // their row numbers
}

// cache keeps the machines used last. Whoever holds the writing session owns
// it.
type cache struct {
	max  int
	byID map[channel.ID]*list.Element // of *known
	used *list.List                   // the last used in front
}

func newCache(max int) *cache {
	return &cache{max: max, byID: make(map[channel.ID]*list.Element), used: list.New()}
}

func (c *cache) get(id channel.ID) *known {
	el, ok := c.byID[id]
	if !ok {
		return nil
	}
	c.used.MoveToFront(el)
	return el.Value.(*known)
}

func (c *cache) put(k *known) {
	c.drop(k)
	c.byID[k.id] = c.used.PushFront(k)
	for c.used.Len() > c.max {
		c.drop(c.used.Back().Value.(*known))
	}
}

func (c *cache) drop(k *known) {
	if el, ok := c.byID[k.id]; ok {
		c.used.Remove(el)
		delete(c.byID, k.id)
	}
}

// known returns the channel's machine as it is on disk, from memory if that
// is current. ErrUnknown if the channel is not in the catalogue.
func (t *tx) known(id channel.ID) (*known, error) {
	k := t.c.cache.get(id)
	if k != nil && t.touched[k] {
		return k, nil
	}
	var no, revision int64
	var reason Reason
	err := t.get([]any{&no, &reason, &revision}, "SELECT no, reason, revision FROM channels WHERE id = ?", id[:])
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("channel %s: %w", id, ErrUnknown)
	}
	if err != nil {
		return nil, err
	}
	if k == nil || k.revision != revision || k.no != no {
		state, logs, err := loadState(t.session, no, id)
		if err != nil {
			return nil, err
		}
		k = &known{id: id, no: no, revision: revision, machine: feed.Restore(state), saved: state.Logs, logs: logs}
		t.c.cache.put(k)
	}
	k.reason = reason
	t.touched[k] = true
	return k, nil
}

// loadState reads what a machine has to know, and the numbers of the logs.
func loadState(s *session, no int64, id channel.ID) (feed.State, map[channel.PublicKey]int64, error) {
	state := feed.State{Channel: id, Logs: make(map[channel.PublicKey]feed.Log)}
	numbers := make(map[channel.PublicKey]int64)
	var envelope []byte
	err := s.get([]any{&envelope, &state.RootFork}, `SELECT envelope, root_fork FROM channels c
		JOIN roots r ON r.channel = c.no AND r.version = c.version WHERE c.no = ?`, no)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return feed.State{}, nil, err
	}
	if err == nil {
		root, hash, err := storedRoot(envelope)
		if err != nil {
			return feed.State{}, nil, err
		}
		state.Root, state.RootHash = &root, hash
	}
	err = s.each(func(scan func(...any) error) (bool, error) {
		n, key, log, err := scanLog(scan)
		state.Logs[key], numbers[key] = log, n
		return true, err
	}, "SELECT "+logColumns+" FROM logs WHERE channel = ?", no)
	return state, numbers, err
}

const logColumns = `no, key, seq, hash, issued, root, epoch, frozen, head, claim, joined,
	(SELECT envelope FROM snapshots WHERE snapshots.log = logs.no)`

// scanLog reads logColumns, and what stands before them into first.
func scanLog(scan func(...any) error, first ...any) (no int64, key channel.PublicKey, log feed.Log, err error) {
	var epoch, frozen int64
	var head, claim, snapshot []byte
	if err = scan(append(first, &no, (*bytes32)(&key), &log.Seq, (*bytes32)(&log.Hash), &log.Issued, &log.Root, &epoch, &frozen, &head, &claim, &log.Joined, &snapshot)...); err != nil {
		return
	}
	log.Epoch, log.Frozen = uint64(epoch), uint64(frozen)
	if log.Head, err = storedHead(head, key); err == nil {
		log.Claim, err = storedHead(claim, key)
	}
	if err == nil {
		log.Snapshot, err = storedSnapshot(snapshot)
	}
	return
}

func storedRoot(envelope []byte) (channel.Root, channel.Hash, error) {
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		return channel.Root{}, channel.Hash{}, fmt.Errorf("%w: root: %w", errDamaged, err)
	}
	root, err := channel.OpenRoot(env)
	if err != nil {
		return channel.Root{}, channel.Hash{}, fmt.Errorf("%w: root: %w", errDamaged, err)
	}
	return root, env.Hash(), nil
}

func storedHead(envelope []byte, log channel.PublicKey) (*feed.SignedHead, error) {
	if envelope == nil {
		return nil, nil
	}
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", errDamaged, err)
	}
	head, err := channel.OpenHead(env)
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", errDamaged, err)
	}
	signers := env.Signers()
	return &feed.SignedHead{Head: head, Envelope: envelope, ByLog: len(signers) == 1 && signers[0] == log}, nil
}

// past is a channel's history within a transaction.
type past struct {
	t *tx
	k *known
}

var _ feed.History = past{}

func (p past) RootAt(version uint64) ([]byte, error) {
	return p.envelope("SELECT envelope FROM roots WHERE channel = ? AND version = ?", p.k.no, int64(version))
}

func (p past) ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error) {
	no, ok := p.k.logs[log]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return p.envelope("SELECT envelope FROM manifests WHERE log = ? AND seq = ?", no, int64(seq))
}

func (p past) envelope(text string, args ...any) ([]byte, error) {
	var envelope []byte
	err := p.t.get([]any{&envelope}, text, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fs.ErrNotExist
	}
	return envelope, err
}
