package channel

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
)

// Envelope carries a signed payload (after DSSE, the Dead Simple Signing
// Envelope). Verify first, then decode the very bytes that were signed.
type Envelope struct {
	Type       string      `cbor:"1,keyasint" json:"type"` // one of TypeRoot, TypeManifest, TypeHead, TypeSnapshot
	Payload    HexBytes    `cbor:"2,keyasint" json:"payload"`
	Signatures []Signature `cbor:"3,keyasint" json:"signatures"` // sorted by key, distinct, at most 32
}

// Signature is an Ed25519 signature over PAE(type, payload).
type Signature struct {
	Key PublicKey `cbor:"1,keyasint" json:"key"`
	Sig HexBytes  `cbor:"2,keyasint" json:"sig"` // 64 bytes
}

// The types of payload.
const (
	TypeRoot     = "application/vnd.aml.root+cbor"
	TypeManifest = "application/vnd.aml.manifest+cbor"
	TypeHead     = "application/vnd.aml.head+cbor"
	TypeSnapshot = "application/vnd.aml.log-snapshot+cbor"
)

// PAE returns the bytes that are signed: DSSE's pre-authentication encoding,
// "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, lengths in decimal
// ASCII. With the type inside, a signature under one type is none under another.
func PAE(typ string, payload []byte) []byte {
	b := make([]byte, 0, len(typ)+len(payload)+32)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(typ)), 10)
	b = append(b, ' ')
	b = append(b, typ...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// Sign puts payload into an envelope signed by all keys. The payload is kept,
// not copied. It does not look into the payload; Root.Sign and its like do.
func Sign(typ string, payload []byte, keys ...PrivateKey) (Envelope, error) {
	env := Envelope{Type: typ, Payload: payload}
	if err := env.checkPayload(); err != nil {
		return Envelope{}, fmt.Errorf("signing: %w", err)
	}
	if len(keys) == 0 {
		return Envelope{}, fmt.Errorf("signing: %w: no key", ErrMalformed)
	}
	message := PAE(typ, payload)
	for _, key := range keys {
		if key.IsZero() {
			return Envelope{}, fmt.Errorf("signing: %w: an empty key", ErrMalformed)
		}
		sig, err := key.sign(message)
		if err != nil {
			return Envelope{}, fmt.Errorf("signing: %w", err)
		}
		env.Signatures = append(env.Signatures, Signature{Key: key.Public(), Sig: sig})
	}
	slices.SortFunc(env.Signatures, func(a, b Signature) int { return a.Key.Compare(b.Key) })
	if err := env.Validate(); err != nil {
		return Envelope{}, fmt.Errorf("signing: %w", err)
	}
	return env, nil
}

// Validate checks all that can be checked without verifying a signature or
// looking into the payload: a known type, a payload within the limit of its
// type, 1 to MaxSignatures signatures (exactly one on all but a root) of 64
// bytes by sound keys, keys strictly ascending.
func (e Envelope) Validate() error {
	if err := e.checkPayload(); err != nil {
		return err
	}
	if len(e.Signatures) == 0 {
		return fmt.Errorf("%w: envelope has no signature", ErrMalformed)
	}
	if len(e.Signatures) > MaxSignatures {
		return fmt.Errorf("%w: envelope has %d signatures, at most %d are allowed", ErrLimit, len(e.Signatures), MaxSignatures)
	}
	if len(e.Signatures) > 1 && e.Type != TypeRoot {
		return fmt.Errorf("%w: %d signatures, want one on %s", ErrMalformed, len(e.Signatures), e.Type)
	}
	for i, s := range e.Signatures {
		if len(s.Sig) != ed25519.SignatureSize {
			return fmt.Errorf("%w: signature %d has %d bytes", ErrMalformed, i+1, len(s.Sig))
		}
		if err := s.Key.Check(); err != nil {
			return fmt.Errorf("signature %d: %w", i+1, err)
		}
		if i > 0 && e.Signatures[i-1].Key.Compare(s.Key) >= 0 {
			return fmt.Errorf("%w: signatures do not ascend by key", ErrMalformed)
		}
	}
	return nil
}

func (e Envelope) checkPayload() error {
	limit, err := payloadLimit(e.Type)
	if err != nil {
		return err
	}
	if len(e.Payload) > limit {
		return fmt.Errorf("%w: payload of %d bytes, at most %d are allowed for %s", ErrTooLarge, len(e.Payload), limit, e.Type)
	}
	if len(e.Payload) == 0 {
		return fmt.Errorf("%w: envelope has no payload", ErrMalformed)
	}
	return nil
}

func payloadLimit(typ string) (int, error) {
	switch typ {
	case TypeRoot:
		return MaxRoot, nil
	case TypeManifest:
		return MaxManifest, nil
	case TypeHead:
		return MaxHead, nil
	case TypeSnapshot:
		return MaxSnapshot, nil
	}
	return 0, fmt.Errorf("%w: envelope of type %q", ErrVersion, clip(typ))
}

// EncodeEnvelope returns the one encoding of e, after Validate.
func EncodeEnvelope(e Envelope) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encoding envelope: %w", err)
	}
	return encode("envelope", e)
}

// DecodeEnvelope reads what EncodeEnvelope writes and nothing else. It verifies
// no signature. The envelope does not share memory with data.
func DecodeEnvelope(data []byte) (Envelope, error) {
	if len(data) > MaxEnvelope {
		return Envelope{}, fmt.Errorf("decoding envelope: %w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), MaxEnvelope)
	}
	var e Envelope
	if err := decode("envelope", data, &e); err != nil {
		return Envelope{}, err
	}
	if err := e.Validate(); err != nil {
		return Envelope{}, fmt.Errorf("decoding envelope: %w", err)
	}
	return e, nil
}

// Hash returns the hash of the payload.
func (e Envelope) Hash() Hash { return HashPayload(e.Payload) }

// Signers returns the keys that the envelope says have signed it, ascending.
func (e Envelope) Signers() []PublicKey {
	keys := make([]PublicKey, len(e.Signatures))
	for i, s := range e.Signatures {
		keys[i] = s.Key
	}
	return keys
}

// Verify checks the envelope and every signature in it; one bad signature is
// enough for ErrSignature. Who signed, and whether they may, is for
// VerifyRoot, VerifyManifest and VerifyHead.
func (e Envelope) Verify() error {
	if err := e.Validate(); err != nil {
		return err
	}
	message := PAE(e.Type, e.Payload)
	for _, s := range e.Signatures {
		if !ed25519.Verify(s.Key[:], message, s.Sig) {
			return fmt.Errorf("%w: by key %s", ErrSignature, s.Key.Short())
		}
	}
	return nil
}
