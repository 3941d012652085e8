package catalog

import (
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// The states of a release's body.
const (
	bodyHere    = 0 // in the manifest, or in the row
	bodyMissing = 1 // in a blob that nobody has opened yet
	bodyRefused = 2 // opened, and not what the manifest may hold
	bodySealed  = 3 // under a read key that nobody here has tried
	bodyNone    = 4 // sealed, opened, and there is none
)

// save stores what a step changed. it is nil for a proof.
func (t *tx) save(k *known, it *feed.Item, o feed.Outcome) error {
	if !o.Changed {
		return nil
	}
	if o.Verdict == feed.Accepted && o.Kind == feed.KindRoot {
		if err := t.saveRoot(k, it, o); err != nil {
			return err
		}
	}
	state := k.machine.State()
	for key, log := range state.Logs {
		if log == k.saved[key] {
			continue
		}
		dropped := log.Snapshot == nil && k.saved[key].Snapshot != nil
		if err := t.saveLog(k, key, log); err != nil {
			return err
		}
		if dropped {
			if err := t.dropSnapshot(k.logs[key]); err != nil {
				return err
			}
		}
	}
	k.saved = state.Logs
	if err := t.void(k, o.Void); err != nil {
		return err
	}
	if o.Verdict == feed.Accepted && o.Kind == feed.KindManifest {
		if err := t.saveManifest(k, it, o); err != nil {
			return err
		}
	}
	if o.Proof != nil {
		if err := t.saveFork(k, o); err != nil {
			return err
		}
	}
	n, err := t.exec("UPDATE channels SET revision = revision + 1 WHERE no = ? AND revision = ?", k.no, k.revision)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("channel %s: %w", k.id, ErrConflict)
	}
	k.revision++
	t.changed(change{k.id, o.Kind})
	return nil
}

func (t *tx) saveRoot(k *known, it *feed.Item, o feed.Outcome) error {
	if _, err := t.exec("INSERT INTO roots (channel, version, hash, envelope) VALUES (?, ?, ?, ?)",
		k.no, int64(o.Seq), o.Hash[:], it.Encoded()); err != nil {
		return err
	}
	n, err := t.exec("UPDATE channels SET version = ?, title = ? WHERE no = ? AND version = ?", int64(o.Seq), o.Root.Title, k.no, int64(o.Seq)-1)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("root version %d: %w", o.Seq, ErrConflict)
	}
	if _, err := t.exec("DELETE FROM topics WHERE channel = ?", k.no); err != nil {
		return err
	}
	for _, topic := range o.Root.Topics {
		if _, err := t.exec("INSERT INTO topics (topic, channel) VALUES (?, ?)", topic, k.no); err != nil {
			return err
		}
	}
	return t.indexChannel(k.no, o.Root)
}

// saveLog moves a log's row from where we believe it is to where it is now.
func (t *tx) saveLog(k *known, key channel.PublicKey, log feed.Log) error {
	head, claim := envelopeOf(log.Head), envelopeOf(log.Claim)
	before, known := k.saved[key]
	if !known {
		no, err := t.insert(`INSERT INTO logs (channel, key, seq, hash, issued, root, epoch, frozen, head, claim, joined)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, k.no, key[:], int64(log.Seq), log.Hash[:], int64(log.Issued),
			int64(log.Root), int64(log.Epoch), int64(log.Frozen), head, claim, int64(log.Joined))
		if err != nil {
			return err
		}
		k.logs[key] = no
		return nil
	}
	n, err := t.exec(`UPDATE logs SET seq = ?, hash = ?, issued = ?, root = ?, epoch = ?, frozen = ?, head = ?, claim = ?, joined = ?
		WHERE no = ? AND seq = ? AND hash = ? AND frozen = ?`, int64(log.Seq), log.Hash[:], int64(log.Issued),
		int64(log.Root), int64(log.Epoch), int64(log.Frozen), head, claim, int64(log.Joined),
		k.logs[key], int64(before.Seq), before.Hash[:], int64(before.Frozen))
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("log %s: %w", key, ErrConflict)
	}
	return nil
}

// envelopeOf is the head's envelope, NULL without one.
func envelopeOf(h *feed.SignedHead) any {
	if h == nil {
		return nil
	}
	return h.Envelope
}

func (t *tx) saveManifest(k *known, it *feed.Item, o feed.Outcome) error {
	state := bodyHere
	switch {
	case o.Manifest.BodyRef != nil:
		state = bodyMissing
	case o.Manifest.Body == nil:
		state = bodySealed
	}
	position, err := t.insert("INSERT INTO manifests (channel, log, seq, hash, envelope, state) VALUES (?, ?, ?, ?, ?, ?)",
		k.no, k.logs[o.Log], int64(o.Seq), o.Hash[:], it.Encoded(), state)
	if err != nil {
		return err
	}
	if log := k.machine.Log(o.Log); o.Seq <= log.Joined {
		if _, err := t.exec("DELETE FROM owed WHERE log = ? AND seq = ?", k.logs[o.Log], int64(o.Seq)); err != nil {
			return err
		}
	}
	if o.Manifest.Body == nil {
		return nil
	}
	return t.apply(k.no, position, o.Manifest, o.Manifest.Body)
}

func (t *tx) saveFork(k *known, o feed.Outcome) error {
	log := o.Log[:]
	if o.Kind == feed.KindRoot {
		log = []byte{}
		if _, err := t.exec("UPDATE channels SET root_fork = 1 WHERE no = ?", k.no); err != nil {
			return err
		}
	}
	_, err := t.exec("INSERT INTO forks (channel, log, seq, a, b, seen) VALUES (?, ?, ?, ?, ?, ?)",
		k.no, log, int64(o.Seq), o.Proof.A, o.Proof.B, t.c.cfg.Now().Unix())
	return err
}

// void forgets manifests that a root has withdrawn, and works out the view
// again from those that stand. It is rare, since a root is what causes it, and
// the one step whose length grows with the channel: all its releases are read,
// and nobody else writes meanwhile. Readers go on.
func (t *tx) void(k *known, ranges []feed.Range) error {
	if len(ranges) == 0 {
		return nil
	}
	if _, err := t.exec("DELETE FROM former WHERE channel = ? AND NOT due", k.no); err != nil {
		return err // rebuild finds them again
	}
	for _, r := range ranges {
		no, ok := k.logs[r.Log]
		if !ok {
			continue
		}
		if err := t.withdraw(k, r.Log, r.From, r.To); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM manifests WHERE log = ? AND seq BETWEEN ? AND ?", no, int64(r.From), int64(r.To)); err != nil {
			return err
		}
	}
	return t.rebuild(k.no)
}
