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
		return decide(o, Ignored, fmt.Errorf("proof of two roots: %w", channel.ErrMalformed))
	}
	for _, it := range []*Item{a, b} {
		if it.Channel != m.state.Channel {
			return decide(o, Ignored, ErrForeign)
		}
	}
	ao := a.outcome(m.state.Channel)
	switch { // a page is about the number that the other side is about
	case aPage != nil && bPage != nil:
		return decide(o, Rejected, fmt.Errorf("a proof of two pages: %w", channel.ErrMalformed))
	case bPage != nil:
		o.Seq = ao.Seq
	case aPage != nil:
		ao.Seq = o.Seq
	}
	an, err := a.named(ao.Seq, aPage)
	if err != nil {
		return decide(o, Rejected, err)
	}
	bn, err := b.named(o.Seq, bPage)
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
