package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Formats of an index blob.
const (
	indexFormat = 1
	codedFormat = 2 // with parity
)

// maxIndexBlob bounds an index blob of format 1 in bytes. A ref takes at most
// 116 bytes of CBOR: a head, four keys, three strings of 2+32 and an integer of
// 9. One of format 2 has besides at most maxParityIDs ids, and 20 bytes.
const (
	maxIndexBlob = 120_832 + Overhead // PaddedSize(16+MaxRefs*116)
	maxParityIDs = 2 * (MaxRefs + 15) // twice as many as refs, and the last of 64 stripes may be short by 15
	maxCodedBlob = 188_416 + Overhead // PaddedSize(16+MaxRefs*116+20+32*maxParityIDs)
)

// index is what an index blob says.
type index struct {
	refs   []Ref
	coding Coding       // zero in format 1
	parity []blobnet.ID // coding.Parity of the first stripe, then those of the second, ...
}

// indexBlob is the plaintext of an index blob, padded like any other.
type indexBlob struct {
	Format uint64 `cbor:"1,keyasint"`
	Level  uint64 `cbor:"2,keyasint"` // 1: the refs are chunks; n: they are indexes of level n-1
	Refs   []Ref  `cbor:"3,keyasint"` // in file order, at most MaxRefs
	Data   uint64 `cbor:"4,keyasint,omitempty"`
	Parity uint64 `cbor:"5,keyasint,omitempty"`
	IDs    []byte `cbor:"6,keyasint,omitempty"` // 32 bytes each
}

// encode returns the plaintext of an index blob, not yet padded.
func (x index) encode(level int) ([]byte, error) {
	if x.coding.IsZero() {
		return dcbor.Marshal(indexBlob{Format: indexFormat, Level: uint64(level), Refs: x.refs})
	}
	return dcbor.Marshal(indexBlob{codedFormat, uint64(level), x.refs, uint64(x.coding.Data), uint64(x.coding.Parity), concat(x.parity)})
}

// stripe returns the refs and the parity ids of the nth stripe.
func (x index) stripe(n int) ([]Ref, []blobnet.ID) {
	k, m := x.coding.Data, x.coding.Parity
	return x.refs[n*k : min((n+1)*k, len(x.refs))], x.parity[n*m : (n+1)*m]
}

// parseIndex reads the padded plaintext of an index blob of the given level.
// What the refs' sizes must be is the caller's to know. Errors wrap ErrIndex.
func parseIndex(padded []byte, level int) (index, error) {
	if len(padded) > maxCodedBlob-Overhead {
		return index{}, fmt.Errorf("%d bytes, limit %d: %w", len(padded), maxCodedBlob-Overhead, ErrIndex)
	}
	n, err := dcbor.Len(padded)
	if err != nil {
		return index{}, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if len(padded) != PaddedSize(n) || !allZero(padded[n:]) {
		return index{}, fmt.Errorf("%d bytes padded to %d, or not with zeros: %w", n, len(padded), ErrIndex)
	}
	var in indexBlob
	if err := dcbor.Unmarshal(padded[:n], &in); err != nil {
		return index{}, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	switch {
	case in.Format != indexFormat && in.Format != codedFormat:
		return index{}, fmt.Errorf("format %d, want %d or %d: %w", in.Format, indexFormat, codedFormat, ErrIndex)
	case in.Level != uint64(level):
		return index{}, fmt.Errorf("level %d, want %d: %w", in.Level, level, ErrIndex)
	case len(in.Refs) == 0 || len(in.Refs) > MaxRefs:
		return index{}, fmt.Errorf("%d refs, want 1 to %d: %w", len(in.Refs), MaxRefs, ErrIndex)
	}
	x := index{refs: in.Refs}
	if err := x.takeParity(in); err != nil {
		return index{}, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	return x, nil
}

// takeParity checks and takes what format 2 has and format 1 must not have.
func (x *index) takeParity(in indexBlob) error {
	if in.Format == indexFormat {
		if in.Data != 0 || in.Parity != 0 || len(in.IDs) != 0 {
			return errors.New("parity in format 1")
		}
		return nil
	}
	if in.Data > MaxData || in.Parity > MaxParity {
		return fmt.Errorf("coding %d+%d", in.Data, in.Parity)
	}
	x.coding = Coding{int(in.Data), int(in.Parity)}
	if err := x.coding.Validate(); err != nil || x.coding.IsZero() {
		return fmt.Errorf("coding %v: %w", x.coding, errors.Join(err, ErrCoding))
	}
	want := x.coding.stripes(len(x.refs)) * x.coding.Parity
	if len(in.IDs) != want*len(blobnet.ID{}) {
		return fmt.Errorf("%d bytes of parity ids, want %d ids", len(in.IDs), want)
	}
	x.parity = make([]blobnet.ID, want)
	for i := range x.parity {
		x.parity[i] = blobnet.ID(in.IDs[i*len(blobnet.ID{}):])
	}
	return nil
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

// shape is what the root index of a file tells of all others.
type shape struct {
	chunkSize uint64
	coding    Coding
}

// load returns the checked index that ref names.
func (t *tree) load(ctx context.Context, ref Ref, level int, want shape) (index, error) {
	x, err := t.fetch(ctx, ref, level)
	if err != nil {
		return index{}, err
	}
	if x.coding != want.coding {
		err = fmt.Errorf("coding %v below a root of %v: %w", x.coding, want.coding, ErrIndex)
	} else {
		err = checkSizes(x.refs, level, ref.Size, want.chunkSize, t.maxRefs)
	}
	if err != nil {
		return index{}, fmt.Errorf("index blob %s: %w", ref.ID.Short(), err)
	}
	return x, nil
}

// loadRoot returns the checked root index, and the file's shape. The file's
// depth must not be 0.
func (t *tree) loadRoot(ctx context.Context) (index, shape, error) {
	level := int(t.file.Depth)
	x, err := t.fetch(ctx, t.file.Root, level)
	if err != nil {
		return index{}, shape{}, err
	}
	chunkSize, err := t.checkRoot(x.refs, level, x.coding)
	if err != nil {
		return index{}, shape{}, fmt.Errorf("index blob %s: %w", t.file.Root.ID.Short(), err)
	}
	return x, shape{chunkSize, x.coding}, nil
}

// checkRoot checks the refs of the root index, and returns the chunk size, which
// the first of them tells.
func (t *tree) checkRoot(refs []Ref, level int, coding Coding) (chunkSize uint64, err error) {
	if len(refs) == 1 && level == 1 && !coding.IsZero() { // a file of one chunk has an index for its parity
		if refs[0].Size != t.file.Size || t.file.Size > MaxChunkSize {
			return 0, fmt.Errorf("the only ref has %d bytes below it, want %d: %w", refs[0].Size, t.file.Size, ErrIndex)
		}
		for chunkSize = MinChunkSize; chunkSize < t.file.Size; chunkSize *= 2 {
		}
		return chunkSize, nil
	}
	below := span(1, level-1, t.maxRefs) // chunks below a full ref
	chunkSize = refs[0].Size / below
	switch {
	case len(refs) < 2:
		return 0, fmt.Errorf("root lists a single ref: the tree is too deep: %w", ErrIndex)
	case refs[0].Size%below != 0 || !validChunkSize(chunkSize):
		return 0, fmt.Errorf("first ref of the root has %d bytes below it: no chunk size makes that: %w", refs[0].Size, ErrIndex)
	}
	return chunkSize, checkSizes(refs, level, t.file.Size, chunkSize, t.maxRefs)
}

func (t *tree) fetch(ctx context.Context, ref Ref, level int) (index, error) {
	blob, err := t.src.Get(ctx, ref.ID, nil)
	if err != nil {
		return index{}, fmt.Errorf("getting index blob %s: %w", ref.ID.Short(), err)
	}
	if len(blob) > maxCodedBlob {
		return index{}, fmt.Errorf("index blob %s: %d bytes, limit %d: %w", ref.ID.Short(), len(blob), maxCodedBlob, ErrIndex)
	}
	padded, err := openPadded(blob[:0], blob, ref)
	if err != nil {
		return index{}, err
	}
	x, err := parseIndex(padded, level)
	if err != nil {
		return index{}, fmt.Errorf("index blob %s: %w", ref.ID.Short(), err)
	}
	return x, nil
}
