package channel

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
)

// ID names a channel: the SHA-256 of the payload of its first root. Whoever
// has it can check that a root founds this channel, so an ID is all that a
// subscriber needs to be given by a hand it trusts.
type ID [sha256.Size]byte

// Hash is the SHA-256 of a payload, or a key derived by SHA-256 for gossip and
// discovery. It never names a blob or a channel.
type Hash [sha256.Size]byte

// idEncoding is RFC 4648 base32 in lower case, without padding.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// base32Len is the length of 32 bytes in idEncoding.
const base32Len = 52

// IDOf returns the ID of the channel that the root with this payload founds.
// The payload must be that of a version 1; OpenRoot tells.
func IDOf(root1 []byte) ID { return sha256.Sum256(root1) }

// ParseID reads the 52 characters that String prints, and nothing else: upper
// case, padding and unused bits that are set are refused, so that one channel
// has one name. Errors wrap ErrMalformed.
func ParseID(s string) (ID, error) {
	var id ID
	if err := unbase32(id[:], s, "channel id"); err != nil {
		return ID{}, err
	}
	return id, nil
}

// String returns the id as 52 characters of lower-case base32.
func (id ID) String() string { return idEncoding.EncodeToString(id[:]) }

// Short returns the first 10 characters, for logs and progress lines.
func (id ID) Short() string { return id.String()[:10] }

// IsZero reports whether id is all zero, which names no channel.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, as slices.SortFunc wants it.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText returns what String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID in place.
func (id *ID) UnmarshalText(text []byte) error { return unbase32(id[:], string(text), "channel id") }

// Discovery returns SHA-256("aml-discovery-v1" || id): the name of the channel
// in everything public (gossip topics, DHT keys, sync requests), so that who
// hears it learns nothing about channels it was not told of.
func (id ID) Discovery() Hash {
	return sha256.Sum256(append([]byte("aml-discovery-v1"), id[:]...))
}

// HashPayload returns the hash by which a root, manifest or head is named by
// its successor.
func HashPayload(payload []byte) Hash { return sha256.Sum256(payload) }

// ParseHash reads the 64 lower-case hex digits that String prints. Errors wrap
// ErrMalformed.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := unhex(h[:], []byte(s), "hash"); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// String returns the hash as 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is all zero, which no known payload hashes to.
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their bytes, as slices.SortFunc wants it.
func (h Hash) Compare(other Hash) int { return bytes.Compare(h[:], other[:]) }

// MarshalText returns what String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHash in place.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text, "hash") }

// HexBytes is a byte string that JSON shows as lower-case hex. A []byte is
// assignable to it and back.
type HexBytes []byte

// String returns the bytes as lower-case hex digits.
func (b HexBytes) String() string { return hex.EncodeToString(b) }

// MarshalText returns what String does.
func (b HexBytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (b *HexBytes) UnmarshalText(text []byte) error {
	out := make([]byte, len(text)/2)
	if len(text)%2 != 0 {
		return fmt.Errorf("%w: an odd number of hex digits", ErrMalformed)
	}
	if err := unhex(out, text, "byte string"); err != nil {
		return err
	}
	*b = out
	return nil
}

// unhex reads exactly 2*len(dst) lower-case hex digits. Its errors never
// repeat the input, which may be a secret.
func unhex(dst, text []byte, what string) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%w: %s has %d characters, want %d hex digits", ErrMalformed, what, len(text), 2*len(dst))
	}
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: character %d of the %s is not a lower-case hex digit", ErrMalformed, i+1, what)
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}

// unbase32 reads exactly the 52 characters of 32 bytes. Its errors never
// repeat the input, which may be a secret.
func unbase32(dst []byte, s, what string) error {
	if len(s) != base32Len {
		return fmt.Errorf("%w: %s has %d characters, want %d", ErrMalformed, what, len(s), base32Len)
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return fmt.Errorf("%w: character %d of the %s is none of a-z and 2-7", ErrMalformed, i+1, what)
		}
	}
	var raw [sha256.Size]byte
	if _, err := idEncoding.Decode(raw[:], []byte(s)); err != nil {
		return fmt.Errorf("%w: %s is not base32", ErrMalformed, what)
	}
	if idEncoding.EncodeToString(raw[:]) != s {
		return fmt.Errorf("%w: last character of the %s sets unused bits", ErrMalformed, what)
	}
	copy(dst, raw[:])
	return nil
}
