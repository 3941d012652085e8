package blobnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
)

// ID names a blob: the SHA-256 of exactly its bytes (seed document 001).
// IDs are comparable, and usable as map keys.
type ID [sha256.Size]byte

// Sum returns the ID of blob.
func Sum(blob []byte) ID { return sha256.Sum256(blob) }

// ParseID reads the 64 lower-case hex digits that String prints. Upper case is
// refused, so that one blob has one name.
func ParseID(s string) (ID, error) {
	var id ID
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return ID{}, err
	}
	return id, nil
}

// String returns the id as 64 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 12 hex digits, for logs and progress lines.
func (id ID) Short() string { return hex.EncodeToString(id[:6]) }

// IsZero reports whether id is all zero, which no known bytes hash to.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, as slices.SortFunc wants it.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText returns what String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID in place.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("blob id has %d characters, want %d hex digits", len(text), 2*len(id))
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("blob id has the character %q, want lower-case hex digits", c)
		}
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// cidPrefix is CIDv1, codec raw (0x55), multihash sha2-256 (0x12) of 32 bytes.
var cidPrefix = [...]byte{0x01, 0x55, 0x12, 0x20}

// CID returns the id as an IPFS content identifier (CIDv1, raw codec,
// sha2-256, base32), under which any IPFS tool can hold the same bytes.
func (id ID) CID() string {
	raw := append(cidPrefix[:], id[:]...)
	enc := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	return "b" + enc.EncodeToString(raw)
}
