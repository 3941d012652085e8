package channel

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Member is the public half of a MemberKey: the read keys of private channels
// can be sealed to it. It is a public key of HPKE's KEM 0x647a
// (X25519 + ML-KEM-768), so that what is recorded today stays sealed when one
// of the two is broken.
type Member [MemberSize]byte

// MemberSize is the length of a Member in bytes.
const MemberSize = 1184 + 32

const (
	memberPrefix   = "amlmember1"
	memberChecksum = 4
	memberTextSize = len(memberPrefix) + (MemberSize+memberChecksum)*8/5
	memberPEM      = "AML MEMBER KEY"
)

func memberKEM() hpke.KEM { return hpke.MLKEM768X25519() }

// ParseMember reads what String prints, and checks that something can be
// sealed to it. Space around it is forgiven. Errors wrap ErrMalformed.
func ParseMember(s string) (Member, error) {
	s = strings.TrimSpace(s)
	var m Member
	text, ok := strings.CutPrefix(s, memberPrefix)
	switch {
	case !ok:
		return m, fmt.Errorf("%w: a member key begins with %s", ErrMalformed, memberPrefix)
	case len(s) != memberTextSize:
		return m, fmt.Errorf("%w: a member key has %d characters, want %d", ErrMalformed, len(s), memberTextSize)
	case strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" || strings.ContainsAny(text, "\r\n"):
		return m, fmt.Errorf("%w: a member key has other characters than a-z and 2-7", ErrMalformed)
	}
	raw, err := idEncoding.DecodeString(text)
	if err != nil || len(raw) != MemberSize+memberChecksum {
		return m, fmt.Errorf("%w: a member key is not base32", ErrMalformed)
	}
	copy(m[:], raw)
	if sum := m.sum(); !bytes.Equal(sum[:memberChecksum], raw[MemberSize:]) {
		return Member{}, fmt.Errorf("%w: a member key was mistyped: its checksum does not fit", ErrMalformed)
	}
	if err := m.Check(); err != nil {
		return Member{}, err
	}
	return m, nil
}

// String returns the key as text, some 2,000 characters that may be given to
// anyone.
func (m Member) String() string {
	sum := m.sum()
	return memberPrefix + idEncoding.EncodeToString(append(bytes.Clone(m[:]), sum[:memberChecksum]...))
}

// Short returns 16 characters by which people tell members apart.
func (m Member) Short() string {
	sum := m.sum()
	return idEncoding.EncodeToString(sum[:10])
}

func (m Member) sum() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("aml-member-v1"), m[:]...))
}

// MarshalText returns what String does.
func (m Member) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMember in place.
func (m *Member) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMember(string(text))
	return err
}

// Check refuses keys to which nothing can be sealed: an ML-KEM key that is not
// reduced, an X25519 key of small order.
func (m Member) Check() error {
	_, err := m.public()
	return err
}

func (m Member) public() (hpke.PublicKey, error) {
	pub, err := memberKEM().NewPublicKey(m[:])
	if err != nil {
		return nil, fmt.Errorf("%w: a member key that is no key of X25519 + ML-KEM-768", ErrMalformed)
	}
	point, err := ecdh.X25519().NewPublicKey(m[MemberSize-32:])
	if err == nil {
		var any *ecdh.PrivateKey
		if any, err = ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32)); err == nil {
			_, err = any.ECDH(point)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a member key whose X25519 part is of small order", ErrMalformed)
	}
	return pub, nil
}

// MemberKey opens a member's box in a keyring. It hides itself as PrivateKey
// does. The zero value opens nothing.
type MemberKey struct {
	key **memberSecret // see PrivateKey
}

type memberSecret struct{ priv hpke.PrivateKey }

// memberSeedSize is the length of the seed that a member key is made of.
const memberSeedSize = 32

// GenerateMemberKey makes a new key from the system's randomness.
func GenerateMemberKey() (MemberKey, error) {
	priv, err := memberKEM().GenerateKey()
	if err != nil {
		return MemberKey{}, fmt.Errorf("making a member key: %w", err)
	}
	return wrapMember(priv), nil
}

// MemberKeyFromSeed returns the key of a seed, the private key as HPKE
// serializes it.
func MemberKeyFromSeed(seed [32]byte) (MemberKey, error) {
	priv, err := memberKEM().NewPrivateKey(seed[:])
	if err != nil {
		return MemberKey{}, fmt.Errorf("%w: no seed of a member key", ErrMalformed)
	}
	return wrapMember(priv), nil
}

func wrapMember(priv hpke.PrivateKey) MemberKey {
	s := &memberSecret{priv}
	return MemberKey{&s}
}

// IsZero reports whether there is no key.
func (k MemberKey) IsZero() bool { return k.key == nil }

// Public returns the public half, the zero Member for the zero value.
func (k MemberKey) Public() Member {
	var m Member
	if k.key != nil {
		copy(m[:], (*k.key).priv.PublicKey().Bytes())
	}
	return m
}

const hiddenMemberKey = "member key (hidden)"

// String hides the key.
func (MemberKey) String() string { return hiddenMemberKey }

// Format hides the key from every verb.
func (MemberKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenMemberKey) }

// LogValue hides the key from slog.
func (MemberKey) LogValue() slog.Value { return slog.StringValue(hiddenMemberKey) }

// MarshalText refuses: no encoder that works by itself gets the key.
func (MemberKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a member key is written by EncodeMemberPEM alone")
}

// MarshalBinary refuses, as MarshalText does.
func (k MemberKey) MarshalBinary() ([]byte, error) { return k.MarshalText() }

// EncodeMemberPEM returns the key as a PEM block of a type of its own. The
// result is a secret.
func EncodeMemberPEM(key MemberKey) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("encoding a member key: there is none")
	}
	seed, err := (*key.key).priv.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding a member key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: memberPEM, Bytes: seed}), nil
}

// DecodeMemberPEM reads what EncodeMemberPEM writes: exactly one block. Errors
// wrap ErrMalformed and never repeat the input.
func DecodeMemberPEM(text []byte) (MemberKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return MemberKey{}, fmt.Errorf("%w: not a PEM file; want -----BEGIN %s-----", ErrMalformed, memberPEM)
	case block.Type != memberPEM:
		return MemberKey{}, fmt.Errorf("%w: a PEM block %q; want %q", ErrMalformed, clip(block.Type), memberPEM)
	case len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) > 0:
		return MemberKey{}, fmt.Errorf("%w: there is more than the key in its file", ErrMalformed)
	case len(block.Bytes) != memberSeedSize:
		return MemberKey{}, fmt.Errorf("%w: a member key of %d bytes, want %d", ErrMalformed, len(block.Bytes), memberSeedSize)
	}
	return MemberKeyFromSeed([32]byte(block.Bytes))
}
