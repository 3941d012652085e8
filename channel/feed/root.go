package feed

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
)

// stepRoot decides about a root. Roots are accepted one version after the
// other, also those that have expired: a late joiner has to walk through them.
func (m *Machine) stepRoot(in Input, past History) Outcome {
	it, cur := in.Item, m.state.Root
	o := it.outcome(m.state.Channel)
	switch {
	case it.root.Version == 1:
		if it.Channel != m.state.Channel {
			return decide(o, Rejected, fmt.Errorf("first root of channel %s: %w", it.Channel, ErrForeign))
		}
		if cur != nil {
			return decide(o, Duplicate, ErrKnown)
		}
		if _, err := channel.VerifyRoot(it.env, nil); err != nil {
			return refuse(o, err)
		}
		return m.acceptRoot(it, o, past)
	case cur == nil, it.root.Version > cur.Version+1:
		have := uint64(0)
		if cur != nil {
			have = cur.Version
		}
		o.Want = []Range{{From: have + 1, To: it.root.Version}}
		return decide(o, Gap, fmt.Errorf("root version %d, have %d: %w", it.root.Version, have, ErrGap))
	case it.root.Version <= cur.Version:
		return m.oldRoot(it, o, past)
	}
	if it.Prev != m.state.RootHash {
		return decide(o, Ignored, fmt.Errorf("root version %d: %w", it.root.Version, channel.ErrChain))
	}
	if _, err := channel.VerifyRoot(it.env, cur); err != nil {
		return refuse(o, err)
	}
	if err := succession(cur, &it.root); err != nil {
		return decide(o, Rejected, err)
	}
	return m.acceptRoot(it, o, past)
}

// oldRoot decides about a version that is known: it is the same, or it is a
// forgery, or the root keys have signed two of them.
func (m *Machine) oldRoot(it *Item, o Outcome, past History) Outcome {
	data, err := past.RootAt(it.root.Version)
	if err != nil {
		return undecided(o, err)
	}
	known, err := Parse(data)
	if err != nil {
		return undecided(o, err)
	}
	if known.Hash == it.Hash {
		return decide(o, Duplicate, ErrKnown)
	}
	prev, err := rootAt(past, it.root.Version-1)
	if err != nil {
		return undecided(o, err)
	}
	if _, err := channel.VerifyRoot(it.env, &prev); err != nil {
		return refuse(o, err)
	}
	if err := succession(&prev, &it.root); err != nil {
		return decide(o, Rejected, err) // as by who has no root of this version yet
	}
	if !m.state.RootFork {
		m.state.RootFork, o.Changed = true, true
		o.Proof = &Fork{A: data, B: it.encoded}
	}
	return decide(o, Forked, fmt.Errorf("root version %d: %w", it.root.Version, ErrFork))
}

// acceptRoot moves to a verified root and withdraws what it revokes.
func (m *Machine) acceptRoot(it *Item, o Outcome, past History) Outcome {
	logs := make(map[channel.PublicKey]Log)
	for _, r := range it.root.Revoked {
		log, known := m.state.Logs[r.Key]
		if !known {
			continue
		}
		cut, void, want, err := revoke(log, r, past)
		if err != nil {
			return undecided(o, err)
		}
		logs[r.Key] = cut
		o.Void, o.Want = append(o.Void, void...), append(o.Want, want...)
	}
	for key, log := range logs {
		m.state.Logs[key] = log
	}
	root := it.root
	m.state.Root, m.state.RootHash = &root, it.Hash
	m.dropClaims()
	o.Changed = true
	return decide(o, Accepted, nil)
}

// dropClaims forgets what head keys that the newest root does not list any more
// have claimed: a stolen one could hold up the log for ever with a number that
// nobody has.
func (m *Machine) dropClaims() {
	for key, log := range m.state.Logs {
		if log.Claim == nil || log.Claim.ByLog {
			continue
		}
		env, err := channel.DecodeEnvelope(log.Claim.Envelope)
		if err == nil && len(env.Signatures) == 1 {
			if p, ok := m.state.Root.Publisher(env.Signatures[0].Key); ok && p.Role == channel.RoleHead {
				continue
			}
		}
		log.Claim = nil
		m.state.Logs[key] = log
	}
}

// revoke ends a log at its last good manifest. Manifests after it are void;
// where ours differs from the last good one, everything is, since we can't
// know how far back our branch is the wrong one.
func revoke(log Log, r channel.Revoked, past History) (cut Log, void, want []Range, err error) {
	log.Head, log.Claim = nil, nil
	if log.Seq < r.Seq || log.Seq == r.Seq && (log.Hash == r.Hash || r.Seq == 0) {
		return log, nil, nil, nil
	}
	if r.Seq > 0 {
		_, data, err := hashAt(past, r.Key, r.Seq)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Log{}, nil, nil, err
		}
		if err == nil {
			it, err := Parse(data)
			if err != nil {
				return Log{}, nil, nil, err
			}
			if it.Hash == r.Hash && log.Joined <= r.Seq {
				void = []Range{{Log: r.Key, From: r.Seq + 1, To: log.Seq}}
				if s := log.Snapshot; s != nil && s.Seq > r.Seq {
					log.Snapshot = nil // it says what counts after what is void now
				}
				return logAfter(log, it), void, nil, nil
			}
		}
		want = []Range{{Log: r.Key, From: 1, To: r.Seq}}
	}
	void = []Range{{Log: r.Key, From: 1, To: log.Seq}}
	return Log{Frozen: log.Frozen}, void, want, nil
}

// succession checks what channel.VerifyRoot leaves to us: that a root takes
// nothing from a publishing key silently. So a publishing key keeps its scopes
// and its life, or it is revoked.
func succession(prev, next *channel.Root) error {
	if key, what := next.Narrows(*prev); what != "" {
		return fmt.Errorf("root version %d %s of the key %s: %w", next.Version, what, key, ErrNarrowed)
	}
	return nil
}
