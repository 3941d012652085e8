// Package feed answers one question: may this follow that? It holds the rules
// by which roots, manifests, heads and snapshots of one channel succeed each other, as a
// state machine that is stepped with one envelope at a time.
//
// It is for the catalogue, which keeps what the machine accepts. It must never
// do I/O, read a clock, start a goroutine or remember anything outside of
// State: the time, the envelope and the past come in as arguments and all that
// is to be done goes out in the Outcome, so that a run can be written down as
// text and replayed (see testdata).
package feed

import (
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Limits of time and rate (CHANNELS.md).
const (
	// MaxSkew is how far ahead of our clock an envelope may be issued.
	MaxSkew = 5 * time.Minute

	// GossipInterval and GossipBurst bound what one key can make us accept
	// from gossip: that many manifests and as many heads at once, then one of
	// each per interval. Catching up is not bound by them.
	GossipInterval = time.Second
	GossipBurst    = 30
)

// Verdict says what became of an envelope.
type Verdict uint8

// The verdicts. Rejected is for what every honest node refuses, whatever it
// knows and whatever its clock says: whoever sends it misbehaves. Ignored and
// the others depend on what this node knows, so the sender may be honest.
const (
	Ignored   Verdict = iota // not now: clock, rate, unknown or outdated authority
	Accepted                 // the state moved forward
	Duplicate                // known already
	Stale                    // older than what is known
	Gap                      // something before it is missing; see Outcome.Want
	Forked                   // it contradicts what its signer signed before
	Rejected                 // nobody should have sent this
)

var verdicts = [...]string{"ignored", "accepted", "duplicate", "stale", "gap", "forked", "rejected"}

// String returns the verdict in lower case.
func (v Verdict) String() string {
	if int(v) < len(verdicts) {
		return verdicts[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Kind is what an envelope carries.
type Kind uint8

// The kinds. KindBody never comes out of the machine: the catalogue uses it to
// announce that a body which lay in a blob has become known.
const (
	KindNone Kind = iota
	KindRoot
	KindManifest
	KindHead
	KindBody
	KindSnapshot
)

var kinds = [...]string{"nothing", "root", "manifest", "head", "body", "snapshot"}

// String returns the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Range names manifests From to To of a log, both included, or, where Log is
// zero, versions From to To of the root. To comes from whoever made the
// envelope and may be absurdly large: ask for a bounded piece at a time.
type Range struct {
	Log      channel.PublicKey
	From, To uint64
}

// Fork is a proof of equivocation: two encoded envelopes, each signed by the
// same log's key (or by the same root keys), that cannot both be true. A is
// the one that was known first to whoever made the proof.
//
// Where a page of a snapshot is what contradicts the other side, a side is the
// encoded array of the snapshot's envelope and that page.
type Fork struct {
	A, B []byte
}

// Outcome is what a step decided. The slices and pointers in it are the
// caller's; the machine does not keep or change them.
type Outcome struct {
	Verdict Verdict
	Kind    Kind
	Channel channel.ID
	Log     channel.PublicKey // zero for a root
	Seq     uint64            // of the manifest or head; the version of a root
	Hash    channel.Hash      // of the payload
	Err     error             // why not; nil exactly when Accepted

	// Want is what to ask other nodes for, so that this envelope can follow.
	// It can come with any verdict.
	Want []Range

	// Proof is set the first time that the envelope proves a fork.
	Proof *Fork

	// Void lists manifests accepted earlier that a root has now withdrawn.
	Void []Range

	// Changed: State differs from what it was, and must be made durable before
	// anyone is told.
	Changed bool

	// What the envelope holds, where it could be decoded. At most one is set.
	Root     *channel.Root
	Manifest *channel.Manifest
	Head     *channel.Head
	Snapshot *channel.Snapshot
}

// Relay reports whether the envelope is worth passing on by gossip: it was
// accepted, or proved a fork, or is a head that is news although manifests
// before it are missing here, or a snapshot that is although its pages are.
func (o Outcome) Relay() bool {
	switch o.Verdict {
	case Accepted:
		return true
	case Forked:
		return o.Proof != nil
	case Gap: // a snapshot is news before its pages are here
		return o.Changed || errors.Is(o.Err, ErrPages)
	}
	return false
}

// One sentinel per reason that a caller tells apart; beside them Outcome.Err
// wraps those of package channel (ErrMalformed, ErrSignature, ErrExpired ...).
var (
	// ErrUnknownRoot: it names a root version that is not known yet.
	ErrUnknownRoot = errors.New("signed under a root version that is not known here")

	// ErrFuture: issued more than MaxSkew ahead of the given time.
	ErrFuture = errors.New("issued in the future")

	// ErrStale: a rollback or replay, older than what is known.
	ErrStale = errors.New("older than what is known")

	// ErrKnown: exactly this is known.
	ErrKnown = errors.New("known already")

	// ErrGap: manifests, or versions of the root, before it are missing.
	ErrGap = errors.New("what comes before it is missing")

	// ErrFork: it contradicts what the same key signed before.
	ErrFork = errors.New("the same key signed two different histories")

	// ErrFrozen: the log has forked; nothing is accepted on it until a new
	// root version says where it ends.
	ErrFrozen = errors.New("log is frozen by a fork")

	// ErrBackdated: issued before the manifest that it follows.
	ErrBackdated = errors.New("issued before the manifest that it follows")

	// ErrRevoked: after the last good manifest of a withdrawn key.
	ErrRevoked = errors.New("publishing key has been revoked")

	// ErrRate: more than the rate that one key may have by gossip. Catching up
	// brings it later.
	ErrRate = errors.New("over the rate of one key")

	// ErrForeign: it belongs to another channel.
	ErrForeign = errors.New("belongs to another channel")

	// ErrNarrowed: a root that takes rights from a publishing key without
	// saying where its log ends.
	ErrNarrowed = errors.New("root takes rights from a key without revoking it")

	// ErrHistory: the past could not be looked up, so nothing was decided.
	ErrHistory = errors.New("looking up the channel's past")
)

// History is the past of one channel, as accepted by the machine and kept by
// its caller. Both methods return the encoded envelope, which the machine does
// not keep or change, or an error that wraps fs.ErrNotExist where there is
// none. They are called only from within Step and Evidence, by its goroutine.
type History interface {
	RootAt(version uint64) ([]byte, error)
	ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error)
}
