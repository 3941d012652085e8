package channel

import (
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/anonymous-media-library/aml/codec"
)

// Keyring is a blob, in clear, in which the members of a private channel find
// the read key of an epoch, and whoever has that key what came before. It does
// not say whose channel it is, which epoch, or who its members are.
type Keyring struct {
	Format  uint64     `cbor:"1,keyasint" json:"format"`  // always 1
	Boxes   []HexBytes `cbor:"2,keyasint" json:"boxes"`   // the read key, one box for each member, and some for nobody
	Salt    HexBytes   `cbor:"3,keyasint" json:"salt"`    // as in Sealed
	Commit  HexBytes   `cbor:"4,keyasint" json:"commit"`  // as in Sealed
	Secrets HexBytes   `cbor:"5,keyasint" json:"secrets"` // a box with Secrets, under the read key
}

// Secrets is what every reader of an epoch knows.
type Secrets struct {
	Title    string     `cbor:"1,keyasint,omitempty" json:"title,omitempty"`    // of the channel; its root has none
	Previous []EpochKey `cbor:"2,keyasint,omitempty" json:"previous,omitempty"` // the newest first
}

// EpochKey is the read key of one epoch.
type EpochKey struct {
	Epoch uint64    `cbor:"1,keyasint" json:"epoch"`
	Key   codec.Key `cbor:"2,keyasint" json:"key"`
}

// ReadKey returns the key as what reads with it.
func (k EpochKey) ReadKey() ReadKey { return ReadKeyFrom(k.Key) }

const (
	// memberBoxSize is the length of one box: a ciphertext of the KEM, and the
	// read key with a tag.
	memberBoxSize = 1088 + 32 + ReadKeySize + codec.Overhead
	// minBoxes is the least number of boxes.
	minBoxes = 8
)

// Validate checks what has to be right before a key is tried.
func (k Keyring) Validate() error {
	if err := checkFormat(k.Format); err != nil {
		return err
	}
	if len(k.Boxes) > MaxMembers {
		return fmt.Errorf("%w: keyring of %d boxes, at most %d are allowed", ErrLimit, len(k.Boxes), MaxMembers)
	}
	if n := len(k.Boxes); n < minBoxes || bits.OnesCount(uint(n)) != 1 {
		return fmt.Errorf("%w: keyring of %d boxes, want a power of two from %d on", ErrMalformed, n, minBoxes)
	}
	for i, b := range k.Boxes {
		if len(b) != memberBoxSize {
			return fmt.Errorf("%w: box %d of the keyring has %d bytes, want %d", ErrMalformed, i+1, len(b), memberBoxSize)
		}
	}
	return checkBox(k.Salt, k.Commit, k.Secrets, MaxSecrets)
}

// Validate checks the rules of what is sealed in the keyring of an epoch.
func (s Secrets) Validate(epoch uint64) error {
	if err := checkLine("title", s.Title, MaxTitle); err != nil {
		return err
	}
	if len(s.Previous) > MaxPreviousEpochs {
		return fmt.Errorf("%w: keys of %d previous epochs, at most %d are allowed", ErrLimit, len(s.Previous), MaxPreviousEpochs)
	}
	before := epoch
	for _, p := range s.Previous {
		if p.Epoch == 0 || p.Epoch >= before {
			return fmt.Errorf("%w: previous epochs do not descend at %d", ErrMalformed, p.Epoch)
		}
		before = p.Epoch
	}
	return nil
}

// MakeKeyring returns the keyring of an epoch for these members: a blob to be
// stored under its hash. Boxes for nobody, made as the others are, bring their
// number to a power of two, and chance puts all of them into order.
func MakeKeyring(id ID, epoch uint64, key ReadKey, members []Member, secrets Secrets) ([]byte, error) {
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("making a keyring: %w: %d members, at most %d are allowed", ErrLimit, len(members), MaxMembers)
	}
	boxes := make([]HexBytes, boxesFor(len(members)))
	raw := key.Bytes()
	info := keyringInfo(id, epoch)
	for i := range boxes {
		var to hpke.PublicKey
		var err error
		if i < len(members) {
			to, err = members[i].public()
		} else {
			var nobody hpke.PrivateKey
			if nobody, err = memberKEM().GenerateKey(); err == nil {
				to = nobody.PublicKey()
			}
		}
		if err == nil {
			boxes[i], err = hpke.Seal(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, raw[:])
		}
		if err != nil {
			return nil, fmt.Errorf("making a keyring: %w: %w", ErrMalformed, err)
		}
	}
	shuffle(boxes)
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails
	return makeKeyring(id, epoch, key, boxes, salt, secrets)
}

func makeKeyring(id ID, epoch uint64, key ReadKey, boxes []HexBytes, salt [saltSize]byte, secrets Secrets) ([]byte, error) {
	if err := secrets.Validate(epoch); err != nil {
		return nil, fmt.Errorf("making a keyring: %w", err)
	}
	plain, err := encode("secrets", secrets)
	if err != nil {
		return nil, err
	}
	k := Keyring{Format: 1, Boxes: boxes, Salt: salt[:]}
	if k.Commit, k.Secrets, err = key.seal(salt[:], keyringInfo(id, epoch), plain); err != nil {
		return nil, fmt.Errorf("making a keyring: %w", err)
	}
	return k.Encode()
}

// boxesFor is how many boxes a keyring for n members has.
func boxesFor(n int) int {
	if n <= minBoxes {
		return minBoxes
	}
	return 1 << bits.Len(uint(n-1))
}

// shuffle puts boxes into random order, so that a place in it says nothing of
// when a member came.
func shuffle(boxes []HexBytes) {
	for i := len(boxes) - 1; i > 0; i-- {
		var b [8]byte
		_, _ = rand.Read(b[:])                                // never fails
		j := int(binary.BigEndian.Uint64(b[:]) % uint64(i+1)) // over 2^64 the bias of at most 1,024 is nothing
		boxes[i], boxes[j] = boxes[j], boxes[i]
	}
}

// Encode returns the one encoding of k, after Validate.
func (k Keyring) Encode() ([]byte, error) {
	if err := k.Validate(); err != nil {
		return nil, fmt.Errorf("encoding keyring: %w", err)
	}
	return encodePayload("keyring", k, MaxKeyring)
}

// DecodeKeyring reads what MakeKeyring makes and nothing else.
func DecodeKeyring(blob []byte) (Keyring, error) {
	var k Keyring
	if err := decodePayload("keyring", blob, MaxKeyring, &k); err != nil {
		return Keyring{}, err
	}
	if err := k.Validate(); err != nil {
		return Keyring{}, fmt.Errorf("decoding keyring: %w", err)
	}
	return k, nil
}

// Find returns the read key that a member's box holds, and what it opens. Every
// box is tried: none says whose it is. ErrReadKey if none is the member's.
func (k Keyring) Find(id ID, epoch uint64, member MemberKey) (ReadKey, Secrets, error) {
	if member.IsZero() {
		return ReadKey{}, Secrets{}, fmt.Errorf("opening keyring: %w: no member key", ErrReadKey)
	}
	info := keyringInfo(id, epoch)
	for _, box := range k.Boxes {
		raw, err := hpke.Open((*member.key).priv, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, box)
		if err != nil || len(raw) != ReadKeySize {
			continue
		}
		key := ReadKeyFrom([ReadKeySize]byte(raw))
		// A box that holds another key than the keyring commits to would have
		// its member read something else than the others.
		if secrets, err := k.Open(id, epoch, key); err == nil {
			return key, secrets, nil
		}
	}
	return ReadKey{}, Secrets{}, fmt.Errorf("opening keyring: %w: no box is for this member", ErrReadKey)
}

// Open returns what is sealed in the keyring of an epoch under its read key.
// ErrReadKey if it is under another one.
func (k Keyring) Open(id ID, epoch uint64, key ReadKey) (Secrets, error) {
	plain, err := key.open(k.Salt, keyringInfo(id, epoch), k.Commit, k.Secrets)
	if err != nil {
		return Secrets{}, fmt.Errorf("opening keyring: %w", err)
	}
	var s Secrets
	if err := decode("secrets", plain, &s); err != nil {
		return Secrets{}, err
	}
	if err := s.Validate(epoch); err != nil {
		return Secrets{}, fmt.Errorf("opening keyring: %w", err)
	}
	return s, nil
}

// keyringInfo is the place that a keyring is bound to.
func keyringInfo(id ID, epoch uint64) []byte {
	info := append([]byte("aml-keyring-v1"), id[:]...)
	return binary.BigEndian.AppendUint64(info, epoch)
}
