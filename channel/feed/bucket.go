package feed

import (
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

type bucketKey struct {
	log  channel.PublicKey
	kind Kind
}

// bucket is a token bucket, kept as the time at which it will be full again
// (the generic cell rate algorithm): no ticking, and the zero bucket is full.
type bucket struct{ full time.Time }

// room reports whether a key has a token left. Time that goes backwards
// neither adds nor takes any.
func (m *Machine) room(log channel.PublicKey, kind Kind, now time.Time) bool {
	return m.spent(log, kind, now).Sub(now) <= GossipBurst*GossipInterval
}

// take spends a token. Only what moves the state does, never a replay or what
// the key did not sign, or strangers could spend an honest key's tokens.
func (m *Machine) take(log channel.PublicKey, kind Kind, now time.Time) {
	m.buckets[bucketKey{log, kind}] = bucket{m.spent(log, kind, now)}
}

// spent is when the bucket would be full again after one token more.
func (m *Machine) spent(log channel.PublicKey, kind Kind, now time.Time) time.Time {
	full := m.buckets[bucketKey{log, kind}].full
	if full.Before(now) {
		full = now
	}
	return full.Add(GossipInterval)
}
