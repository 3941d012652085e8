package channel

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// Sealed is what Manifest.Sealed holds: the body of a release in a private
// channel, under the read key of the manifest's epoch. Who has not that key
// verifies, keeps and passes on the manifest all the same, and so does a node
// for which these bytes are nothing at all.
type Sealed struct {
	Format  uint64     `cbor:"1,keyasint" json:"format"`  // always 1
	Keyring blobnet.ID `cbor:"2,keyasint" json:"keyring"` // the blob in which members find the read key
	Salt    HexBytes   `cbor:"3,keyasint" json:"salt"`    // random: no two bodies are sealed under one key, also after a fork
	Commit  HexBytes   `cbor:"4,keyasint" json:"commit"`  // to the read key: no other one opens it
	Box     HexBytes   `cbor:"5,keyasint" json:"box"`     // a SealedBody
}

// SealedBody is what is sealed: a body, or where it lies, or neither. A release
// that holds neither says nothing; it is there for its keyring.
type SealedBody struct {
	Body    *Body      `cbor:"9,keyasint,omitempty" json:"body,omitempty"`
	BodyRef *codec.Ref `cbor:"10,keyasint,omitempty" json:"bodyRef,omitempty"`
}

// saltSize is the length of salts and commitments in bytes.
const saltSize = sha256.Size

// Validate checks what has to be right before a key is tried.
func (s Sealed) Validate() error {
	if err := checkFormat(s.Format); err != nil {
		return err
	}
	if s.Keyring.IsZero() {
		return fmt.Errorf("%w: keyring without a blob", ErrMalformed)
	}
	return checkBox(s.Salt, s.Commit, s.Box, MaxSealedBody)
}

// DecodeSealed reads what a manifest's field Sealed holds.
func DecodeSealed(data []byte) (Sealed, error) {
	var s Sealed
	if err := decodePayload("sealed body", data, MaxSealedBody, &s); err != nil {
		return Sealed{}, err
	}
	if err := s.Validate(); err != nil {
		return Sealed{}, fmt.Errorf("decoding sealed body: %w", err)
	}
	return s, nil
}

// Validate checks the rules of what was sealed.
func (b SealedBody) Validate() error {
	switch {
	case b.Body != nil && b.BodyRef != nil:
		return fmt.Errorf("%w: both a body and a reference to one are sealed", ErrMalformed)
	case b.Body != nil:
		return b.Body.checkInline()
	case b.BodyRef != nil:
		return checkBodyRef(*b.BodyRef)
	}
	return nil
}

// Seal sets m.Sealed to the body under the read key of m.Epoch, bound to m's
// channel, log, epoch and number, which have to be set. A salt is used once.
func (m *Manifest) Seal(key ReadKey, keyring blobnet.ID, salt [32]byte, body SealedBody) error {
	if err := body.Validate(); err != nil {
		return fmt.Errorf("sealing a body: %w", err)
	}
	plain, err := encode("sealed body", body)
	if err != nil {
		return err
	}
	s := Sealed{Format: 1, Keyring: keyring, Salt: salt[:]}
	if s.Commit, s.Box, err = key.seal(salt[:], m.sealInfo(), plain); err != nil {
		return fmt.Errorf("sealing a body: %w", err)
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("sealing a body: %w", err)
	}
	m.Sealed, err = encodePayload("sealed body", s, MaxSealedBody)
	return err
}

// Unseal returns what m.Sealed holds. ErrReadKey says that it is under another
// key, which is nobody's fault; all other errors say that whoever signed m
// broke a rule, and stand for every reader.
func (m Manifest) Unseal(key ReadKey) (SealedBody, error) {
	var body SealedBody
	s, err := DecodeSealed(m.Sealed)
	if err != nil {
		return body, err
	}
	plain, err := key.open(s.Salt, m.sealInfo(), s.Commit, s.Box)
	if err != nil {
		return body, fmt.Errorf("opening a sealed body: %w", err)
	}
	if err := decode("sealed body", plain, &body); err != nil {
		return SealedBody{}, err
	}
	if err := body.Validate(); err != nil {
		return SealedBody{}, fmt.Errorf("opening a sealed body: %w", err)
	}
	return body, nil
}

// sealInfo is the place that the sealed body of m is bound to.
func (m Manifest) sealInfo() []byte {
	info := append([]byte("aml-sealed-v1"), m.Channel[:]...)
	info = append(info, m.Log[:]...)
	info = binary.BigEndian.AppendUint64(info, m.Epoch)
	return binary.BigEndian.AppendUint64(info, m.Seq)
}

// seal puts plain into a box: its length in four bytes, itself, zeros up to a
// blob's padded size, under a key of its own. ChaCha20-Poly1305 does not commit
// to its key: a box could be made that two keys open to two texts. The
// commitment lets no second key in.
func (k ReadKey) seal(salt, info, plain []byte) (commit, box []byte, err error) {
	if k.IsZero() {
		return nil, nil, fmt.Errorf("%w: no read key", ErrMalformed)
	}
	key, commit, err := k.derive(salt, info)
	if err != nil {
		return nil, nil, err
	}
	padded := make([]byte, codec.PaddedSize(4+len(plain)), codec.PaddedSize(4+len(plain))+codec.Overhead)
	binary.BigEndian.PutUint32(padded, uint32(len(plain)))
	copy(padded[4:], plain)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, nil, err
	}
	var nonce [chacha20poly1305.NonceSize]byte
	return commit, aead.Seal(padded[:0], nonce[:], padded, nil), nil
}

// open undoes seal.
func (k ReadKey) open(salt, info, commit, box []byte) ([]byte, error) {
	if k.IsZero() {
		return nil, ErrReadKey
	}
	key, want, err := k.derive(salt, info)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commit, want) != 1 {
		return nil, ErrReadKey
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	var nonce [chacha20poly1305.NonceSize]byte
	padded, err := aead.Open(nil, nonce[:], box, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the box does not open under the key that it commits to", ErrMalformed)
	}
	n := uint64(binary.BigEndian.Uint32(padded)) // checkBox saw to it that there are more
	if n > uint64(len(padded)-4) || codec.PaddedSize(4+int(n)) != len(padded) {
		return nil, fmt.Errorf("%w: %d bytes are said to be in a box of %d", ErrMalformed, n, len(padded))
	}
	for _, b := range padded[4+n:] {
		if b != 0 {
			return nil, fmt.Errorf("%w: the padding is not zero", ErrMalformed)
		}
	}
	return padded[4 : 4+n], nil
}

// derive gives the key of one box, and the commitment to k.
func (k ReadKey) derive(salt, info []byte) (key, commit []byte, err error) {
	raw := k.Bytes()
	out, err := hkdf.Key(sha256.New, raw[:], salt, string(info), chacha20poly1305.KeySize+saltSize)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving a key: %w", err)
	}
	return out[:chacha20poly1305.KeySize], out[chacha20poly1305.KeySize:], nil
}

// checkBox checks the lengths of what seal makes.
func checkBox(salt, commit, box []byte, limit int) error {
	if len(salt) != saltSize || len(commit) != saltSize {
		return fmt.Errorf("%w: salt of %d bytes and commitment of %d, want %d", ErrMalformed, len(salt), len(commit), saltSize)
	}
	if len(box) > limit {
		return fmt.Errorf("%w: box of %d bytes, at most %d are allowed", ErrTooLarge, len(box), limit)
	}
	if n := len(box) - codec.Overhead; n < 4 || codec.PaddedSize(n) != n {
		return fmt.Errorf("%w: a box of %d bytes", ErrMalformed, len(box))
	}
	return nil
}
