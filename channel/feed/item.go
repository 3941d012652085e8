package feed

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
)

// Item is an envelope that has been decoded and is within all limits, but
// whose signatures nobody has looked at yet. Parsing needs no state, so it can
// be done by any goroutine before the machine is involved.
type Item struct {
	Kind    Kind
	Channel channel.ID   // zero for a root after version 1, see Prev
	Prev    channel.Hash // of a root after version 1: the hash of the version before
	Hash    channel.Hash // of the payload

	encoded  []byte
	env      channel.Envelope
	root     channel.Root
	manifest channel.Manifest
	head     channel.Head
	snapshot channel.Snapshot

	verified bool // the signatures were looked at, with this result
	invalid  error
}

// Parse decodes an envelope. It keeps encoded, which must not change
// afterwards. Refuse turns the error into an Outcome.
func Parse(encoded []byte) (*Item, error) {
	env, err := channel.DecodeEnvelope(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding envelope: %w", err)
	}
	it := &Item{encoded: encoded, env: env, Hash: channel.HashPayload(env.Payload)}
	switch env.Type {
	case channel.TypeRoot:
		it.Kind = KindRoot
		if it.root, err = channel.OpenRoot(env); err != nil {
			return nil, fmt.Errorf("decoding root: %w", err)
		}
		if it.root.Version == 1 {
			it.Channel = channel.IDOf(env.Payload)
		} else if it.root.Prev != nil {
			it.Prev = *it.root.Prev
		}
	case channel.TypeManifest:
		it.Kind = KindManifest
		if it.manifest, err = channel.OpenManifest(env); err != nil {
			return nil, fmt.Errorf("decoding manifest: %w", err)
		}
		it.Channel = it.manifest.Channel
	case channel.TypeHead:
		it.Kind = KindHead
		if it.head, err = channel.OpenHead(env); err != nil {
			return nil, fmt.Errorf("decoding head: %w", err)
		}
		it.Channel = it.head.Channel
	case channel.TypeSnapshot:
		it.Kind = KindSnapshot
		if it.snapshot, err = channel.OpenSnapshot(env); err != nil {
			return nil, fmt.Errorf("decoding snapshot: %w", err)
		}
		it.Channel = it.snapshot.Channel
	default:
		return nil, fmt.Errorf("envelope of type %.64q: %w", env.Type, channel.ErrMalformed)
	}
	return it, nil
}

// Verify verifies the signatures, which Step would do: so that it can be done
// before, by any one goroutine. It is done once.
func (it *Item) Verify() error {
	if !it.verified {
		it.verified, it.invalid = true, it.env.Verify()
	}
	return it.invalid
}

// verifyManifest is channel.VerifyManifest.
func (it *Item) verifyManifest(id channel.ID, root *channel.Root) error {
	if err := it.Verify(); err != nil {
		return fmt.Errorf("verifying manifest: %w", err)
	}
	return it.manifest.VerifyUnder(it.env.Signers(), id, *root)
}

// Encoded returns the bytes that were parsed. They must not be changed.
func (it *Item) Encoded() []byte { return it.encoded }

// Refuse is the outcome of an envelope that does not parse, or whose
// signatures or authority are wrong: Rejected, except that a format version
// which only newer nodes know is no misbehaviour.
func Refuse(err error) Outcome {
	v := Rejected
	if errors.Is(err, channel.ErrVersion) {
		v = Ignored
	}
	return Outcome{Verdict: v, Err: err}
}

// outcome returns the outcome with everything filled in that the item itself
// says, and nothing decided.
func (it *Item) outcome(id channel.ID) Outcome {
	o := Outcome{Kind: it.Kind, Channel: id, Hash: it.Hash}
	switch it.Kind {
	case KindRoot:
		o.Root, o.Seq = &it.root, it.root.Version
	case KindManifest:
		o.Manifest, o.Seq, o.Log = &it.manifest, it.manifest.Seq, it.manifest.Log
	case KindHead:
		o.Head, o.Seq, o.Log = &it.head, it.head.Seq, it.head.Log
	case KindSnapshot:
		o.Snapshot, o.Seq, o.Log = &it.snapshot, it.snapshot.Seq, it.snapshot.Log
	}
	return o
}

// signedBy reports whether key is among the signers. It is meaningful only
// after the signatures have been verified.
func (it *Item) signedBy(key channel.PublicKey) bool {
	return slices.Contains(it.env.Signers(), key)
}
