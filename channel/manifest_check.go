package channel

import (
	"fmt"

	"github.com/anonymous-media-library/aml/codec"
)

// Encode returns the payload: the one encoding of m, after Validate.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	return encodePayload("manifest", m, MaxManifest)
}

// Sign encodes m and signs it with the log's key; another key gives
// ErrNotAuthorized.
func (m Manifest) Sign(key PrivateKey) (Envelope, error) {
	if key.Public() != m.Log {
		return Envelope{}, fmt.Errorf("signing manifest: %w: key %s for the log of %s", ErrNotAuthorized, key.Public().Short(), m.Log.Short())
	}
	return signPayload(TypeManifest, m.Encode, []PrivateKey{key})
}

// DecodeManifest reads what Encode writes and nothing else.
func DecodeManifest(payload []byte) (Manifest, error) {
	var m Manifest
	if err := decodePayload("manifest", payload, MaxManifest, &m); err != nil {
		return Manifest{}, err
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, fmt.Errorf("decoding manifest: %w", err)
	}
	return m, nil
}

// Validate checks every rule that a manifest must keep by itself;
// VerifyManifest checks it against its root, channel/feed against its
// predecessor.
func (m Manifest) Validate() error {
	if err := checkFormat(m.Format); err != nil {
		return err
	}
	if err := checkPlace(m.Channel, m.Root, m.Log); err != nil {
		return err
	}
	if m.Seq == 0 {
		return fmt.Errorf("%w: sequence number 0; they count from 1", ErrChain)
	}
	if (m.Seq == 1) != (m.Prev == nil) {
		return fmt.Errorf("%w: a predecessor is named at every sequence number but 1, here at %d: %t", ErrChain, m.Seq, m.Prev != nil)
	}
	if err := m.Issued.check("time of issue"); err != nil {
		return err
	}
	if m.Inventory != nil && m.Inventory.IsZero() {
		return fmt.Errorf("%w: inventory without a blob", ErrMalformed)
	}
	return m.checkBody()
}

func (m Manifest) checkBody() error {
	n := 0
	if m.Body != nil {
		n++
		if err := m.Body.checkInline(); err != nil {
			return err
		}
	}
	if m.BodyRef != nil {
		n++
		if err := checkBodyRef(*m.BodyRef); err != nil {
			return err
		}
	}
	if len(m.Sealed) > 0 {
		n++
		if len(m.Sealed) > MaxSealedBody {
			return fmt.Errorf("%w: sealed body of %d bytes, at most %d are allowed", ErrTooLarge, len(m.Sealed), MaxSealedBody)
		}
	}
	if n != 1 {
		return fmt.Errorf("%w: %d of body, bodyRef and sealed are there, want exactly one", ErrMalformed, n)
	}
	if (len(m.Sealed) == 0) != (m.Epoch == 0) {
		return fmt.Errorf("%w: epoch %d; it is 0 in a public channel and counts from 1 in a private one", ErrMalformed, m.Epoch)
	}
	return nil
}

// checkInline checks a body that stands in a manifest, in clear or sealed.
func (b Body) checkInline() error {
	if err := b.Validate(); err != nil {
		return err
	}
	data, err := encode("body", b)
	if err != nil {
		return err
	}
	if len(data) > MaxInlineBody {
		return fmt.Errorf("%w: body of %d bytes in the manifest, at most %d are allowed; a larger one goes into a blob", ErrTooLarge, len(data), MaxInlineBody)
	}
	return nil
}

// checkBodyRef checks a reference to the blob that holds a body.
func checkBodyRef(ref codec.Ref) error {
	if ref.Size == 0 || ref.ID.IsZero() {
		return fmt.Errorf("%w: reference to an empty body", ErrMalformed)
	}
	if ref.Size > MaxBody {
		return fmt.Errorf("%w: body of %d bytes in a blob, at most %d are allowed", ErrTooLarge, ref.Size, MaxBody)
	}
	return nil
}

// checkPlace checks the three fields that say where a manifest or head belongs.
func checkPlace(id ID, root uint64, log PublicKey) error {
	if id.IsZero() {
		return fmt.Errorf("%w: channel is all zero", ErrMalformed)
	}
	if root == 0 {
		return fmt.Errorf("%w: root version 0; they count from 1", ErrChain)
	}
	if err := log.Check(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}
