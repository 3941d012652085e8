package feed

import (
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Evidence decides about a proof of a fork that somebody else made. It can be
// judged without holding any manifest, so that a fork freezes the log also
// where only one of the branches, or none, has been seen. Rejected means that
// it proves nothing.
func (m *Machine) Evidence(now time.Time, f Fork, past History) Outcome {
	return m.lenient(m.evidence(f, past))
}

func (m *Machine) evidence(f Fork, past History) Outcome {
	a, aPage, err := parseSide(f.A)
	if err != nil {
		return Refuse(err)
	}
	b, bPage, err := parseSide(f.B)
	if err != nil {
		return Refuse(err)
	}
	o := b.outcome(m.state.Channel)
	if a.Kind == KindRoot || b.Kind == KindRoot {
		return m.rootEvidence(a, b, f, o, past)
	}
	for _, it := range []*Item{a, b} {
		if it.Channel != m.state.Channel {
			return decide(o, Ignored, ErrForeign)
		}
	}
	ao := a.outcome(m.state.Channel)
	an, bn, err := named(a, aPage, &ao, b, bPage, &o)
	if err != nil {
		return decide(o, Rejected, err)
	}
	if ao.Log != o.Log || ao.Seq != o.Seq || an == bn {
		return decide(o, Rejected, fmt.Errorf("no two histories: %w", channel.ErrMalformed))
	}
	for _, it := range []*Item{a, b} {
		if out, ok := m.verifyEvidence(it, o, past); !ok {
			return out
		}
	}
	log := m.state.Logs[o.Log]
	if log.Frozen > 0 {
		return decide(o, Duplicate, ErrKnown)
	}
	return m.freezeBy(f.B, o, log, f.A)
}

// verifyEvidence checks that the log's own key signed an item under a root that
// let it.
func (m *Machine) verifyEvidence(it *Item, o Outcome, past History) (Outcome, bool) {
	version := it.manifest.Root
	switch it.Kind {
	case KindHead:
		version = it.head.Root
	case KindSnapshot:
		version = it.snapshot.Root
	}
	root, out, ok := m.rootFor(it, version, o, past)
	if !ok {
		return out, false
	}
	var err error
	switch it.Kind {
	case KindHead:
		_, err = channel.VerifyHead(it.env, m.state.Channel, *root)
	case KindSnapshot:
		_, err = channel.VerifySnapshot(it.env, m.state.Channel, *root)
	default:
		_, err = channel.VerifyManifest(it.env, m.state.Channel, *root)
	}
	if err == nil && !it.signedBy(o.Log) {
		err = fmt.Errorf("not signed by the log's key: %w", channel.ErrNotAuthorized)
	}
	if err != nil {
		return refuse(o, err), false
	}
	return o, true
}

// Contradicts reports whether two envelopes of one channel name different
// manifests for one number of one log, or are two roots of one version. Whether they
// are signed is not looked at.
func (it *Item) Contradicts(other *Item) bool {
	if it.Kind == KindRoot && other.Kind == KindRoot {
		return it.root.Version == other.root.Version && it.root.Version > 1 && it.Hash != other.Hash && it.Prev == other.Prev
	}
	if it.Kind == KindRoot || other.Kind == KindRoot || it.Channel != other.Channel {
		return false
	}
	a, b := it.outcome(it.Channel), other.outcome(it.Channel)
	if a.Log != b.Log || a.Seq != b.Seq {
		return false
	}
	an, aErr := it.named(a.Seq, nil)
	bn, bErr := other.named(b.Seq, nil)
	return aErr == nil && bErr == nil && an != bn
}

// Named returns what a proof is about: the log, the number, and the hashes of the
// two manifests. Of two roots the log is zero, the number the version, and the
// hashes are theirs. It verifies nothing.
func (f Fork) Named() (log channel.PublicKey, seq uint64, hashes [2]channel.Hash, err error) {
	a, aPage, err := parseSide(f.A)
	if err != nil {
		return log, 0, hashes, err
	}
	b, bPage, err := parseSide(f.B)
	if err != nil {
		return log, 0, hashes, err
	}
	ao, bo := a.outcome(channel.ID{}), b.outcome(channel.ID{})
	hashes[0], hashes[1], err = named(a, aPage, &ao, b, bPage, &bo)
	return bo.Log, bo.Seq, hashes, err
}

// named returns the hashes that the two sides of a proof name, and sets the number
// of a side with a page to that of the other, which it is about.
func named(a *Item, aPage []byte, ao *Outcome, b *Item, bPage []byte, bo *Outcome) (an, bn channel.Hash, err error) {
	switch {
	case aPage != nil && bPage != nil:
		return an, bn, fmt.Errorf("a proof of two pages: %w", channel.ErrMalformed)
	case bPage != nil:
		bo.Seq = ao.Seq
	case aPage != nil:
		ao.Seq = bo.Seq
	}
	if an, err = a.named(ao.Seq, aPage); err == nil {
		bn, err = b.named(bo.Seq, bPage)
	}
	return an, bn, err
}

// named is the hash of the manifest that an item is or names; with a page, of
// manifest seq by that page of the snapshot.
func (it *Item) named(seq uint64, page []byte) (channel.Hash, error) {
	switch {
	case page != nil:
		return it.listed(seq, page)
	case it.Kind == KindHead:
		return it.head.Hash, nil
	case it.Kind == KindSnapshot:
		return it.snapshot.Hash, nil
	}
	return it.Hash, nil
}
