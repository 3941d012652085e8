package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// stepManifest decides about a manifest. The order of the checks matters: what
// every node refuses comes first, what depends on our clock and our state
// after it, and nothing is spent or stored for what its key did not sign.
func (m *Machine) stepManifest(in Input, past History) Outcome {
	it, o := in.Item, in.Item.outcome(m.state.Channel)
	man := &it.manifest
	root, o, ok := m.rootFor(it, man.Root, o, past)
	if !ok {
		return o
	}
	if err := it.verifyManifest(m.state.Channel, root); err != nil {
		return refuse(o, err)
	}
	if man.Issued.Time().Sub(in.Now) > MaxSkew {
		return decide(o, Ignored, fmt.Errorf("%s: %w", man.Issued, ErrFuture))
	}
	revoked, isRevoked := m.state.Root.RevokedKey(man.Log)
	if isRevoked && man.Seq > revoked.Seq {
		return decide(o, Ignored, fmt.Errorf("last good manifest is %d: %w", revoked.Seq, ErrRevoked))
	}
	log := m.state.Logs[man.Log]
	if man.Seq <= log.Seq {
		return m.knownManifest(in, o, log, past)
	}
	if log.Frozen > 0 && man.Seq >= log.Frozen && !isRevoked {
		return decide(o, Ignored, fmt.Errorf("from manifest %d on: %w", log.Frozen, ErrFrozen))
	}
	if in.Gossip {
		// Nothing new comes by gossip from a key whose time is over, however it
		// is dated; what was issued in time can still be caught up with.
		if err := m.ended(man.Log, in.Now); err != nil {
			return decide(o, Ignored, err)
		}
		if !m.room(man.Log, KindManifest, in.Now) {
			return decide(o, Ignored, ErrRate)
		}
	}
	if man.Seq > log.Seq+1 {
		o.Want = []Range{{Log: man.Log, From: log.Seq + 1, To: man.Seq}}
		return decide(o, Gap, fmt.Errorf("manifest %d, have %d: %w", man.Seq, log.Seq, ErrGap))
	}
	if isRevoked && man.Seq == revoked.Seq && it.Hash != revoked.Hash {
		// Perhaps only this one is of another branch: others decide.
		o.Want = []Range{{Log: man.Log, From: man.Seq, To: man.Seq}}
		return decide(o, Ignored, fmt.Errorf("not the last good manifest: %w", ErrRevoked))
	}
	if log.Seq > 0 && (man.Prev == nil || *man.Prev != log.Hash) {
		if isRevoked && man.Seq == revoked.Seq {
			return m.disown(it, o, log)
		}
		// Somewhere at or before our newest manifest the log has forked: the
		// other manifest of that number would prove it.
		o.Want = []Range{{Log: man.Log, From: log.Seq, To: log.Seq}}
		return decide(o, Gap, fmt.Errorf("manifest %d follows another %d: %w", man.Seq, log.Seq, channel.ErrChain))
	}
	if err := follows(log, man); err != nil {
		return decide(o, Rejected, err)
	}
	if c := log.Claim; c != nil && c.Seq == man.Seq && c.Hash != it.Hash {
		if c.ByLog {
			return m.freeze(it, o, log, c.Envelope)
		}
		log.Claim = nil // a head key that lies proves nothing against the log
	}
	if in.Gossip {
		m.take(man.Log, KindManifest, in.Now)
	}
	log = logAfter(log, it)
	if c := log.Claim; c != nil && c.Seq == man.Seq {
		log.Claim = nil
		if newer(&c.Head, log.Head) {
			log.Head = c
		}
	}
	m.state.Logs[man.Log] = log
	o.Changed = true
	return decide(o, Accepted, nil)
}

// ended returns an error when the newest root, or the key's right under it, is
// over by the given time.
func (m *Machine) ended(log channel.PublicKey, now time.Time) error {
	if expired(m.state.Root.Expires, now) {
		return fmt.Errorf("root version %d: %w", m.state.Root.Version, channel.ErrExpired)
	}
	if p, ok := m.state.Root.Publisher(log); ok && expired(p.Expires, now) {
		return fmt.Errorf("key %s: %w", log, channel.ErrExpired)
	}
	return nil
}

// follows checks a manifest against the one that it names as its predecessor.
// Since both are fixed, every node that holds both sees the same.
func follows(log Log, man *channel.Manifest) error {
	switch {
	case man.Issued < log.Issued:
		return fmt.Errorf("%s, before %s: %w", man.Issued, log.Issued, ErrBackdated)
	case man.Root < log.Root:
		return fmt.Errorf("root version goes back from %d to %d: %w", log.Root, man.Root, channel.ErrChain)
	case man.Epoch < log.Epoch:
		return fmt.Errorf("epoch goes back from %d to %d: %w", log.Epoch, man.Epoch, channel.ErrChain)
	}
	return nil
}

// knownManifest decides about a number that the log has: the same again, or
// the proof of a fork.
func (m *Machine) knownManifest(in Input, o Outcome, log Log, past History) Outcome {
	it := in.Item
	if it.manifest.Seq == log.Seq && it.Hash == log.Hash && log.Joined < log.Seq {
		return decide(o, Duplicate, ErrKnown)
	}
	hash, data, err := hashAt(past, it.manifest.Log, it.manifest.Seq)
	if errors.Is(err, fs.ErrNotExist) {
		return m.fill(in, o, log, past)
	}
	if err != nil {
		return undecided(o, err)
	}
	if hash == it.Hash {
		return decide(o, Duplicate, ErrKnown)
	}
	if err := unfit(it, past); err != nil {
		return decide(o, Rejected, err)
	}
	return m.freeze(it, o, log, data)
}

// unfit returns why nobody who has the predecessor that a manifest names could
// accept it, where we have that too: those who do not know another manifest of
// its number yet reject it, and would think ill of us if we passed it on.
func unfit(it *Item, past History) error {
	man := &it.manifest
	if man.Prev == nil {
		return nil
	}
	hash, data, err := hashAt(past, man.Log, man.Seq-1)
	if err != nil || hash != *man.Prev {
		return nil
	}
	before, err := Parse(data)
	if err != nil {
		return nil
	}
	return follows(logAfter(Log{}, before), man)
}

// freeze stops a log, because an item contradicts the envelope known before.
func (m *Machine) freeze(it *Item, o Outcome, log Log, before []byte) Outcome {
	return m.freezeBy(it.encoded, o, log, before)
}

// freezeBy is freeze for a side of a proof that is no envelope.
func (m *Machine) freezeBy(side []byte, o Outcome, log Log, before []byte) Outcome {
	if log.Frozen == 0 {
		log.Frozen = o.Seq
		m.state.Logs[o.Log] = log
		o.Changed, o.Proof = true, &Fork{A: before, B: side}
	}
	return decide(o, Forked, fmt.Errorf("%s %d: %w", o.Kind, o.Seq, ErrFork))
}

// disown drops a whole log, because the last good manifest that the root names
// does not follow ours: our branch is the wrong one, and nobody knows how far
// back.
func (m *Machine) disown(it *Item, o Outcome, log Log) Outcome {
	m.state.Logs[o.Log] = Log{Frozen: log.Frozen}
	o.Changed = true
	o.Void = []Range{{Log: o.Log, From: 1, To: log.Seq}}
	o.Want = []Range{{Log: o.Log, From: 1, To: o.Seq}}
	return decide(o, Forked, fmt.Errorf("the last good manifest %d follows another %d: %w", o.Seq, log.Seq, ErrFork))
}

// logAfter is log with the manifest as its newest.
func logAfter(log Log, it *Item) Log {
	man := &it.manifest
	log.Seq, log.Hash, log.Issued, log.Root, log.Epoch = man.Seq, it.Hash, man.Issued, man.Root, man.Epoch
	return log
}
