package codec

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Overhead is how many bytes a blob is longer than the padded plaintext in it.
const Overhead = chacha20poly1305.Overhead

// NewKey draws a key from random, or from crypto/rand if random is nil.
func NewKey(random io.Reader) (Key, error) {
	if random == nil {
		random = rand.Reader
	}
	var key Key
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return Key{}, fmt.Errorf("drawing a key: %w", err)
	}
	return key, nil
}

// Seal appends to dst the blob that holds plaintext under key, and returns the
// extended slice. A key must never seal twice: the nonce is always zero.
// plaintext is at most MaxChunkSize bytes (else ErrTooLarge), is not changed,
// and must not overlap the free capacity of dst.
func Seal(dst, plaintext []byte, key Key) ([]byte, error) {
	if len(plaintext) > MaxChunkSize {
		return nil, fmt.Errorf("sealing %d bytes, limit %d: %w", len(plaintext), MaxChunkSize, ErrTooLarge)
	}
	dst = slices.Grow(dst, PaddedSize(len(plaintext))+Overhead)
	start := len(dst)
	dst = append(dst, plaintext...)
	sealed := sealInPlace(dst[start:], key)
	return dst[:start+len(sealed)], nil
}

// sealInPlace pads and seals buf within its capacity, which must hold
// PaddedSize(len(buf))+Overhead bytes, and returns the blob.
func sealInPlace(buf []byte, key Key) []byte {
	padded := buf[:PaddedSize(len(buf))]
	clear(padded[len(buf):])
	var nonce [chacha20poly1305.NonceSize]byte
	return newAEAD(key).Seal(padded[:0], nonce[:], padded, nil)
}

// SealOver is Seal in the place of the plaintext: buf, whose capacity must hold
// PaddedSize(len(buf))+Overhead bytes, becomes the blob, which is returned. Nothing is allocated.
func SealOver(buf []byte, key Key) ([]byte, error) {
	if len(buf) > MaxChunkSize {
		return nil, fmt.Errorf("sealing %d bytes, limit %d: %w", len(buf), MaxChunkSize, ErrTooLarge)
	}
	if need := PaddedSize(len(buf)) + Overhead; cap(buf) < need {
		return nil, fmt.Errorf("sealing %d bytes in a buffer of %d, want %d", len(buf), cap(buf), need)
	}
	return sealInPlace(buf, key), nil
}

// MakeRef returns the Ref of a blob that Seal made under key, where size bytes
// of file plaintext lie below it.
func MakeRef(blob []byte, key Key, size uint64) Ref {
	id, tree := hashBlob(blob)
	return Ref{ID: id, Key: key, Size: size, Tree: tree}
}

// SealTo seals plaintext under a new key from random (nil: crypto/rand), puts
// the blob, and returns its Ref: for the single blob, such as a manifest's body,
// that is no file.
func SealTo(ctx context.Context, dst Putter, plaintext []byte, random io.Reader) (Ref, error) {
	key, err := NewKey(random)
	if err != nil {
		return Ref{}, err
	}
	blob, err := Seal(nil, plaintext, key)
	if err != nil {
		return Ref{}, err
	}
	ref := MakeRef(blob, key, uint64(len(plaintext)))
	if err := put(ctx, dst, ref.ID, blob); err != nil {
		return Ref{}, fmt.Errorf("putting blob %s: %w", ref.ID.Short(), err)
	}
	return ref, nil
}

// Open appends to dst the plaintext of blob, exactly ref.Size bytes, and
// returns the extended slice. ref must be that of a chunk (or of another single
// blob), not of an index. It gives ErrSealed when the key or the bytes are
// wrong and ErrPadding when the size in ref is; then nothing appended means
// anything. The blob's id is the Source's matter and not checked again.
//
// Open(blob[:0], blob, ref) opens in place. Otherwise blob must not overlap the
// free capacity of dst.
func Open(dst, blob []byte, ref Ref) ([]byte, error) {
	out, err := openPadded(dst, blob, ref)
	if err != nil {
		return nil, err
	}
	padded := uint64(len(out) - len(dst))
	if ref.Size > MaxChunkSize || padded != uint64(PaddedSize(int(ref.Size))) {
		return nil, fmt.Errorf("blob %s: %d bytes stated, %d padded: %w", ref.ID.Short(), ref.Size, padded, ErrPadding)
	}
	end := len(dst) + int(ref.Size)
	if !allZero(out[end:]) {
		return nil, fmt.Errorf("blob %s: padding is not zero: %w", ref.ID.Short(), ErrPadding)
	}
	return out[:end], nil
}

// openPadded appends the padded plaintext of blob to dst.
func openPadded(dst, blob []byte, ref Ref) ([]byte, error) {
	if len(blob) < Overhead || len(blob) > blobnet.MaxBlobSize {
		return nil, fmt.Errorf("blob %s: %d bytes: %w", ref.ID.Short(), len(blob), ErrSealed)
	}
	var nonce [chacha20poly1305.NonceSize]byte
	out, err := newAEAD(ref.Key).Open(dst, nonce[:], blob, nil)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", ref.ID.Short(), ErrSealed)
	}
	return out, nil
}

func newAEAD(key Key) cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("codec: " + err.Error()) // only for a key that is not 32 bytes
	}
	return aead
}
