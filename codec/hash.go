package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"lukechampine.com/blake3/guts"

	"github.com/anonymous-media-library/aml/blobnet"
)

// group is how much of a blob is hashed at a time: what the widest vector unit
// takes, small enough to be still in the first-level cache for the second hash,
// and the granularity of Bao proofs.
const group = guts.MaxSIMD * guts.ChunkSize // 16 KiB

// hashBlob returns the blob's SHA-256 and its BLAKE3 root in one pass. It works
// in the calling goroutine alone: the callers are as many as there are cores,
// and blake3.Sum256 would start 64 goroutines more for each blob.
func hashBlob(blob []byte) (id blobnet.ID, tree Hash) {
	sum := sha256.New()
	var stack [64][8]uint32 // roots of complete subtrees, by height in groups
	var groups uint64       // its bits say which of the stack are in use
	for len(blob) > group {
		piece := (*[group]byte)(blob)
		blob = blob[group:]
		sum.Write(piece[:])
		cv := guts.ChainingValue(guts.CompressBuffer(piece, group, &guts.IV, groups*guts.MaxSIMD, 0))
		height := 0
		for ; groups&(1<<height) != 0; height++ {
			cv = guts.ChainingValue(guts.ParentNode(stack[height], cv, &guts.IV, 0))
		}
		stack[height] = cv
		groups++
	}
	sum.Write(blob)
	root := lastGroup(blob, groups*guts.MaxSIMD)
	for height := range bits.Len64(groups) {
		if groups&(1<<height) != 0 {
			root = guts.ParentNode(stack[height], guts.ChainingValue(root), &guts.IV, 0)
		}
	}
	root.Flags |= guts.FlagRoot
	words := guts.CompressNode(root)
	for i := range 8 {
		binary.LittleEndian.PutUint32(tree[4*i:], words[i])
	}
	sum.Sum(id[:0])
	return id, tree
}

// lastGroup compresses the end of a blob, at most group bytes, that begins with
// the BLAKE3 chunk number counter.
func lastGroup(tail []byte, counter uint64) guts.Node {
	if len(tail) <= guts.ChunkSize {
		return guts.CompressChunk(tail, &guts.IV, counter, 0)
	}
	var buf [group]byte // the vector code reads a whole group, whatever the length
	copy(buf[:], tail)
	return guts.CompressBuffer(&buf, len(tail), &guts.IV, counter, 0)
}
