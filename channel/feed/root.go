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
		return m.otherPast(it, o)
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
	data0, err := past.RootAt(it.root.Version - 1)
	if err != nil {
		return undecided(o, err)
	}
	before, err := Parse(data0)
	if err != nil {
		return undecided(o, err)
	}
	if it.Prev != before.Hash {
		return m.otherPast(it, o)
	}
	prev := before.root
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

// maxPast is how many versions before a root are asked for at once where it does
// not follow ours.
const maxPast = 64

// otherPast decides about a root whose predecessor is another than ours. Anybody
// can make one, but if its predecessors are signed, then the root keys have signed
// two versions of one of them, and only these tell.
func (m *Machine) otherPast(it *Item, o Outcome) Outcome {
	if err := it.Verify(); err != nil {
		return refuse(o, err)
	}
	last := it.root.Version - 1
	if last == 1 || m.state.RootFork { // that of another channel; or it is known why
		return decide(o, Ignored, fmt.Errorf("root version %d: %w", it.root.Version, channel.ErrChain))
	}
	o.Want = []Range{{From: max(last, maxPast+1) - maxPast + 1, To: last}}
	return decide(o, Gap, fmt.Errorf("root version %d follows another one than ours: %w", it.root.Version, channel.ErrChain))
}

// rootEvidence decides about two roots of one version.
func (m *Machine) rootEvidence(a, b *Item, f Fork, o Outcome, past History) Outcome {
	if a.Kind != b.Kind || a.root.Version != b.root.Version || a.root.Version < 2 || a.Hash == b.Hash || a.Prev != b.Prev {
		return decide(o, Rejected, fmt.Errorf("no two roots of one version: %w", channel.ErrMalformed))
	}
	for _, it := range []*Item{a, b} {
		if err := it.Verify(); err != nil {
			return refuse(o, err)
		}
	}
	last, have := a.root.Version-1, uint64(0)
	if m.state.Root != nil {
		have = m.state.Root.Version
	}
	if have < last {
		o.Want = []Range{{From: have + 1, To: last}}
		return decide(o, Gap, fmt.Errorf("two roots of version %d, have %d: %w", last+1, have, ErrGap))
	}
	data, err := past.RootAt(last)
	if err != nil {
		return undecided(o, err)
	}
	prev, err := Parse(data)
	if err != nil {
		return undecided(o, err)
	}
	if a.Prev != prev.Hash {
		return decide(o, Ignored, fmt.Errorf("two roots of version %d after another one than ours: %w", last+1, channel.ErrChain))
	}
	for _, it := range []*Item{a, b} {
		if _, err := channel.VerifyRoot(it.env, &prev.root); err != nil {
			return refuse(o, err)
		}
	}
	if m.state.RootFork {
		return decide(o, Duplicate, ErrKnown)
	}
	m.state.RootFork, o.Changed, o.Proof = true, true, &Fork{A: f.A, B: f.B}
	return decide(o, Forked, fmt.Errorf("root version %d: %w", last+1, ErrFork))
}

// lenient takes the blame out of an outcome where the root has forked: what one of
// its histories authorises the other does not, and both have honest followers.
func (m *Machine) lenient(o Outcome) Outcome {
	if o.Verdict == Rejected && m.state.RootFork {
		for _, why := range []error{channel.ErrNotAuthorized, channel.ErrExpired, channel.ErrChain, ErrNarrowed, ErrBackdated} {
			if errors.Is(o.Err, why) {
				o.Verdict = Ignored
				break
			}
		}
	}
	return o
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
