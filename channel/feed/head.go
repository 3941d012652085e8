package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// stepHead decides about a head. Heads that our manifests confirm move forward
// only, by (seq, issued). A head that names a manifest we miss is kept aside
// as a claim: the latest by time of issue, not by number, so that a stolen
// head key that names an absurd number holds up nothing for longer than until
// the next honest head.
func (m *Machine) stepHead(in Input, past History) Outcome {
	it, o := in.Item, in.Item.outcome(m.state.Channel)
	head := &it.head
	root, o, ok := m.rootFor(it, head.Root, o, past)
	if !ok {
		return o
	}
	if _, err := channel.VerifyHead(it.env, m.state.Channel, *root); err != nil {
		return refuse(o, err)
	}
	if head.Issued.Time().Sub(in.Now) > MaxSkew {
		return decide(o, Ignored, fmt.Errorf("%s: %w", head.Issued, ErrFuture))
	}
	if _, ok := m.state.Root.RevokedKey(head.Log); ok {
		return decide(o, Ignored, ErrRevoked)
	}
	if root != m.state.Root && !m.maySignHead(it) {
		return decide(o, Ignored, fmt.Errorf("under root version %d: %w", m.state.Root.Version, channel.ErrNotAuthorized))
	}
	log := m.state.Logs[head.Log]
	if log.Frozen > 0 {
		return decide(o, Ignored, ErrFrozen)
	}
	if before, err := contradicted(it, log, past); errors.Is(err, fs.ErrNotExist) {
		// The log was joined by a snapshot, and its manifest is not there.
		return decide(o, Stale, fmt.Errorf("head %d, have %d: %w", head.Seq, log.Seq, ErrStale))
	} else if err != nil {
		return undecided(o, err)
	} else if before != nil {
		if it.signedBy(head.Log) {
			return m.freeze(it, o, log, before)
		}
		return decide(o, Ignored, fmt.Errorf("head names another manifest %d: %w", head.Seq, channel.ErrChain))
	}
	if in.Gossip {
		if err := m.ended(head.Log, in.Now); err != nil {
			return decide(o, Ignored, err)
		}
		if !m.room(head.Log, KindHead, in.Now) {
			return decide(o, Ignored, ErrRate)
		}
	}
	signed := &SignedHead{Head: *head, Envelope: it.encoded, ByLog: it.signedBy(head.Log)}
	if head.Seq > log.Seq {
		return m.claim(in, signed, o, log)
	}
	if log.Head != nil && !newer(head, log.Head) {
		if same(head, log.Head) {
			return decide(o, Duplicate, ErrKnown)
		}
		return decide(o, Stale, fmt.Errorf("head %d of %s, have %d of %s: %w", head.Seq, head.Issued, log.Head.Seq, log.Head.Issued, ErrStale))
	}
	if in.Gossip {
		m.take(head.Log, KindHead, in.Now)
	}
	log.Head = signed
	if c := log.Claim; c != nil && signed.ByLog && !c.ByLog && signed.Issued > c.Issued {
		log.Claim = nil // the log's own later word against a head key's
	}
	m.state.Logs[head.Log] = log
	o.Changed = true
	return decide(o, Accepted, nil)
}

// claim keeps a head whose manifests are missing, and asks for them.
func (m *Machine) claim(in Input, signed *SignedHead, o Outcome, log Log) Outcome {
	o.Want = []Range{{Log: signed.Log, From: log.Seq + 1, To: signed.Seq}}
	if c := log.Claim; c == nil || signed.Issued > c.Issued || signed.Issued == c.Issued && signed.Seq > c.Seq {
		if in.Gossip {
			m.take(signed.Log, KindHead, in.Now)
		}
		log.Claim = signed
		m.state.Logs[signed.Log] = log
		o.Changed = true
	}
	return decide(o, Gap, fmt.Errorf("head of manifest %d, have %d: %w", signed.Seq, log.Seq, ErrGap))
}

// maySignHead reports whether the head's signer may still sign it under the
// newest root.
func (m *Machine) maySignHead(it *Item) bool {
	for _, key := range it.env.Signers() {
		p, ok := m.state.Root.Publisher(key)
		if ok && (key == it.head.Log || p.Role == channel.RoleHead) {
			return true
		}
	}
	return false
}

// contradicted returns the envelope known before that names another manifest
// of the head's number and is the log's own word, nil where there is none.
func contradicted(it *Item, log Log, past History) ([]byte, error) {
	head := &it.head
	switch {
	case head.Seq == log.Seq && head.Hash == log.Hash:
		return nil, nil
	case head.Seq <= log.Seq:
		hash, data, err := wordOn(past, head.Log, log, head.Seq)
		if err != nil || hash == head.Hash {
			return nil, err
		}
		return data, nil
	}
	if c := log.Claim; c != nil && c.ByLog && c.Seq == head.Seq && c.Hash != head.Hash {
		return c.Envelope, nil
	}
	return nil, nil
}

// newer is the order in which heads may follow each other.
func newer(a *channel.Head, b *SignedHead) bool {
	return b == nil || a.Seq > b.Seq || a.Seq == b.Seq && a.Issued > b.Issued
}

func same(a *channel.Head, b *SignedHead) bool {
	return a.Seq == b.Seq && a.Hash == b.Hash && a.Issued == b.Issued
}

func expired(t channel.Time, now time.Time) bool { return !t.IsZero() && now.After(t.Time()) }
