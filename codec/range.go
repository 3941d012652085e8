package codec

import (
	"fmt"

	"golang.org/x/crypto/chacha20"

	"github.com/anonymous-media-library/aml/blobnet"
)

// keyBlocks is how many blocks of the ChaCha20 stream lie before the first byte
// of plaintext: block 0 gives the Poly1305 key (RFC 8439, section 2.8).
const keyBlocks = 1

const chachaBlock = 64

// BlobSize returns how many bytes the sealed blob has that holds ref.Size bytes
// of plaintext: a chunk or another single blob, not an index, whose length its
// ref does not tell. It returns 0 if no single blob can hold that many.
func BlobSize(ref Ref) int {
	if ref.Size > MaxChunkSize {
		return 0
	}
	return PaddedSize(int(ref.Size)) + Overhead
}

// Range returns the part of ref's blob in which n bytes of plaintext from offset
// on lie, to be asked for and, once verified by it, given to OpenRange. ref is
// that of a chunk; both numbers are the caller's to keep within its size.
func (ref Ref) Range(offset, n int) blobnet.Range {
	return blobnet.Range{Tree: ref.Tree, Size: BlobSize(ref), Offset: offset, Length: n}
}

// OpenRange appends to dst the plaintext of part, which are the bytes of ref's
// blob from offset on, and returns the extended slice: as many bytes as part
// has, less those that are padding or tag. ref must be that of a chunk (or of
// another single blob), not of an index.
//
// It checks no tag: part must have been verified against ref.Tree and the size
// BlobSize(ref), by a Bao proof, just before. Then it is what the author of ref
// sealed, as the tag would say of the whole blob. It gives ErrPadding when part
// does not lie in a blob of ref's size, or when padding in it is not zero; then
// nothing appended means anything.
//
// OpenRange(part[:0], part, ref, offset) opens in place. Otherwise part must not
// overlap the free capacity of dst.
func OpenRange(dst, part []byte, ref Ref, offset int) ([]byte, error) {
	size := BlobSize(ref)
	if offset < 0 || offset > size || len(part) > size-offset {
		return nil, fmt.Errorf("blob %s: bytes %d to %d of %d: %w", ref.ID.Short(), offset, offset+len(part), size, ErrPadding)
	}
	sealed := part[:max(0, min(len(part), size-Overhead-offset))]
	stream, err := chacha20.NewUnauthenticatedCipher(ref.Key[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic("codec: " + err.Error()) // only for a key that is not 32 bytes
	}
	stream.SetCounter(keyBlocks + uint32(offset/chachaBlock))
	var skipped [chachaBlock]byte
	stream.XORKeyStream(skipped[:offset%chachaBlock], skipped[:offset%chachaBlock])

	start := len(dst)
	dst = append(dst, sealed...)
	out := dst[start:]
	stream.XORKeyStream(out, out)
	plain := max(0, min(len(out), int(ref.Size)-offset))
	if !allZero(out[plain:]) {
		return nil, fmt.Errorf("blob %s: padding is not zero: %w", ref.ID.Short(), ErrPadding)
	}
	return dst[:start+plain], nil
}
