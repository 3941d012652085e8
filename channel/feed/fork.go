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
	a, err := Parse(f.A)
	if err != nil {
		return Refuse(err)
	}
	b, err := Parse(f.B)
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
	if !a.Contradicts(b) {
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
	return m.freeze(b, o, log, f.A)
}

// verifyEvidence checks that the log's own key signed an item under a root that
// let it.
func (m *Machine) verifyEvidence(it *Item, o Outcome, past History) (Outcome, bool) {
	version := it.manifest.Root
	if it.Kind == KindHead {
		version = it.head.Root
	}
	root, out, ok := m.rootFor(it, version, o, past)
	if !ok {
		return out, false
	}
	var err error
	if it.Kind == KindHead {
		_, err = channel.VerifyHead(it.env, m.state.Channel, *root)
	} else {
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
// manifests for one number of one log. Whether they are signed is not looked at.
func (it *Item) Contradicts(other *Item) bool {
	if it.Kind == KindRoot || other.Kind == KindRoot || it.Channel != other.Channel {
		return false
	}
	a, b := it.outcome(it.Channel), other.outcome(it.Channel)
	return a.Log == b.Log && a.Seq == b.Seq && it.named() != other.named()
}

// named is the hash of the manifest that an item is or, for a head, names.
func (it *Item) named() channel.Hash {
	if it.Kind == KindHead {
		return it.head.Hash
	}
	return it.Hash
}
