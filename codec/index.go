package codec

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

const indexFormat = 1

// maxIndexBlob bounds an index blob in bytes. A ref takes at most 116 bytes
// of CBOR: a head, four keys, three strings of 2+32 and an integer of 9.
const maxIndexBlob = 120_832 + Overhead // PaddedSize(16+MaxRefs*116)

// indexBlob is the plaintext of an index blob, padded like any other.
type indexBlob struct {
	Format uint64 `cbor:"1,keyasint"`
	Level  uint64 `cbor:"2,keyasint"` // 1: the refs are chunks; n: they are indexes of level n-1
	Refs   []Ref  `cbor:"3,keyasint"` // in file order, at most MaxRefs
}

func encodeIndex(level int, refs []Ref) ([]byte, error) {
	return dcbor.Marshal(indexBlob{indexFormat, uint64(level), refs})
}

// parseIndex reads the padded plaintext of an index blob of the given level.
// What the refs' sizes must be is the caller's to know. Errors wrap ErrIndex.
func parseIndex(padded []byte, level int) ([]Ref, error) {
	if len(padded) > maxIndexBlob-Overhead {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", len(padded), maxIndexBlob-Overhead, ErrIndex)
	}
	n, err := dcbor.Len(padded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if len(padded) != PaddedSize(n) || !allZero(padded[n:]) {
		return nil, fmt.Errorf("%d bytes padded to %d, or not with zeros: %w", n, len(padded), ErrIndex)
	}
	var in indexBlob
	if err := dcbor.Unmarshal(padded[:n], &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	switch {
	case in.Format != indexFormat:
		return nil, fmt.Errorf("format %d, want %d: %w", in.Format, indexFormat, ErrIndex)
	case in.Level != uint64(level):
		return nil, fmt.Errorf("level %d, want %d: %w", in.Level, level, ErrIndex)
	case len(in.Refs) == 0 || len(in.Refs) > MaxRefs:
		return nil, fmt.Errorf("%d refs, want 1 to %d: %w", len(in.Refs), MaxRefs, ErrIndex)
	}
	return in.Refs, nil
}

// checkSizes reports whether refs are those of an index of the given level
// over size bytes: all full but the last, which holds the rest. Size and chunk
// size alone decide it, so that a file has one tree.
func checkSizes(refs []Ref, level int, size, chunkSize, maxRefs uint64) error {
	full := span(chunkSize, level-1, maxRefs)
	if want := (size + full - 1) / full; uint64(len(refs)) != want || want > maxRefs {
		return fmt.Errorf("%d refs for %d bytes, want %d: %w", len(refs), size, want, ErrIndex)
	}
	for i := range refs {
		want := min(full, size-uint64(i)*full)
		if refs[i].Size != want {
			return fmt.Errorf("ref %d has %d bytes below it, want %d: %w", i, refs[i].Size, want, ErrIndex)
		}
	}
	return nil
}

// tree reads the index of one file. It holds no state: all methods may be
// called at once.
type tree struct {
	src     blobnet.Source
	file    File
	maxRefs uint64 // MaxRefs; tests take less, to get deep trees of small files
}

// load returns the checked refs of the index blob that ref names.
func (t *tree) load(ctx context.Context, ref Ref, level int, chunkSize uint64) ([]Ref, error) {
	refs, err := t.fetch(ctx, ref, level)
	if err != nil {
		return nil, err
	}
	if err := checkSizes(refs, level, ref.Size, chunkSize, t.maxRefs); err != nil {
		return nil, fmt.Errorf("index blob %s: %w", ref.ID.Short(), err)
	}
	return refs, nil
}

// loadRoot returns the checked refs of the root index, and the file's chunk
// size, which its first ref tells. The file's depth must not be 0.
func (t *tree) loadRoot(ctx context.Context) (refs []Ref, chunkSize uint64, err error) {
	level := int(t.file.Depth)
	refs, err = t.fetch(ctx, t.file.Root, level)
	if err != nil {
		return nil, 0, err
	}
	below := span(1, level-1, t.maxRefs) // chunks below a full ref
	chunkSize = refs[0].Size / below
	if len(refs) < 2 {
		err = fmt.Errorf("root lists a single ref: the tree is too deep: %w", ErrIndex)
	} else if refs[0].Size%below != 0 || !validChunkSize(chunkSize) {
		err = fmt.Errorf("first ref of the root has %d bytes below it: no chunk size makes that: %w", refs[0].Size, ErrIndex)
	} else {
		err = checkSizes(refs, level, t.file.Size, chunkSize, t.maxRefs)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("index blob %s: %w", t.file.Root.ID.Short(), err)
	}
	return refs, chunkSize, nil
}

func (t *tree) fetch(ctx context.Context, ref Ref, level int) ([]Ref, error) {
	blob, err := t.src.Get(ctx, ref.ID, nil)
	if err != nil {
		return nil, fmt.Errorf("getting index blob %s: %w", ref.ID.Short(), err)
	}
	if len(blob) > maxIndexBlob {
		return nil, fmt.Errorf("index blob %s: %d bytes, limit %d: %w", ref.ID.Short(), len(blob), maxIndexBlob, ErrIndex)
	}
	padded, err := openPadded(blob[:0], blob, ref)
	if err != nil {
		return nil, err
	}
	refs, err := parseIndex(padded, level)
	if err != nil {
		return nil, fmt.Errorf("index blob %s: %w", ref.ID.Short(), err)
	}
	return refs, nil
}
