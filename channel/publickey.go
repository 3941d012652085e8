package channel

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
)

// PublicKey is an Ed25519 public key (RFC 8032) as the 32 bytes that encode
// its point.
type PublicKey [ed25519.PublicKeySize]byte

// ParsePublicKey reads the 64 lower-case hex digits that String prints, and
// checks the key as Check does. Errors wrap ErrMalformed.
func ParsePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	if err := k.UnmarshalText([]byte(s)); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// String returns the key as 64 lower-case hex digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// Short returns the first 12 hex digits, for logs and progress lines.
func (k PublicKey) Short() string { return hex.EncodeToString(k[:6]) }

// IsZero reports whether k is all zero, which is not a usable key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Compare orders keys by their bytes, as slices.SortFunc wants it.
func (k PublicKey) Compare(other PublicKey) int { return bytes.Compare(k[:], other[:]) }

// MarshalText returns what String does.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is ParsePublicKey in place.
func (k *PublicKey) UnmarshalText(text []byte) error {
	var v PublicKey
	if err := unhex(v[:], text, "public key"); err != nil {
		return err
	}
	if err := v.Check(); err != nil {
		return err
	}
	*k = v
	return nil
}

// Check refuses encodings under which one key could have two names or no
// secret: a y coordinate of 2^255-19 or more (RFC 8032 section 5.1.3 would
// have it refused, crypto/ed25519 does not), and the points of small order,
// for which anybody can make a signature. Whether the point is on the curve is
// not checked here: no signature verifies under one that is not.
//
// Verification itself is crypto/ed25519's: S must be below the group order,
// the equation is the one without cofactor, and R is compared as bytes.
func (k PublicKey) Check() error {
	y := k
	y[31] &= 0x7f // the sign of x
	if !belowP(y) {
		return fmt.Errorf("%w: public key %s is not in canonical form", ErrMalformed, k.Short())
	}
	for _, small := range smallOrder {
		if y == small {
			return fmt.Errorf("%w: public key %s is a point of small order", ErrMalformed, k.Short())
		}
	}
	return nil
}

// belowP reports whether the little-endian y is below 2^255-19.
func belowP(y PublicKey) bool {
	if y[31] != 0x7f {
		return true
	}
	for _, b := range y[1:31] {
		if b != 0xff {
			return true
		}
	}
	return y[0] < 0xed
}

// smallOrder holds the y coordinates of the eight points whose order divides
// 8, without the sign of x. It is never written.
var smallOrder = [...]PublicKey{
	{},        // order 4
	{0: 0x01}, // the neutral element
	{ // order 2: y = -1
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
	{ // order 8
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{ // order 8
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
}
