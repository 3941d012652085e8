package codec

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// FuzzOpen promises: no blob crashes Open, and what opens is of the stated size.
// Every input is tried as it is, and as padded plaintext sealed by a hostile
// publisher.
func FuzzOpen(f *testing.F) {
	good, _ := Seal(nil, []byte("hello"), Key{})
	f.Add(good, uint64(5))
	f.Add(make([]byte, 512), uint64(512))
	f.Add(append([]byte("hello"), make([]byte, 507)...), uint64(5))
	f.Add([]byte{}, uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, data []byte, size uint64) {
		key := Key{}
		for _, blob := range [][]byte{data, sealPadded(data, key)} {
			out, err := Open(nil, blob, Ref{Key: key, Size: size})
			if err != nil {
				continue
			}
			if uint64(len(out)) != size {
				t.Fatalf("%d bytes came out, %d stated", len(out), size)
			}
			again, err := Seal(nil, out, key)
			if err != nil || !bytes.Equal(again, blob) {
				t.Fatalf("sealed again it is another blob: %v", err)
			}
		}
	})
}

// FuzzIndex promises: no index crashes the parser, and what it accepts is
// written to the same bytes again.
func FuzzIndex(f *testing.F) {
	for level := 1; level <= 3; level++ {
		plain, err := index{refs: []Ref{{Size: 5}, {ID: blobnet.ID{1}, Size: 1 << 40}}}.encode(level)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(plain, make([]byte, PaddedSize(len(plain))-len(plain))...), level)
		coded, err := index{[]Ref{{Size: 5}, {ID: blobnet.ID{1}, Size: 1 << 40}}, Coding{2, 1}, make([]blobnet.ID, 1)}.encode(level)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(coded, make([]byte, PaddedSize(len(coded))-len(coded))...), level)
	}
	f.Fuzz(func(t *testing.T, padded []byte, level int) {
		x, err := parseIndex(padded, level)
		if err != nil {
			return
		}
		plain, err := x.encode(level)
		if err != nil {
			t.Fatal(err)
		}
		again := append(plain, make([]byte, PaddedSize(len(plain))-len(plain))...)
		if !bytes.Equal(again, padded) {
			t.Fatalf("%x became %x", padded, again)
		}
	})
}

// FuzzTree reads a file whose index is the fuzzer's: any number of levels, each
// the same plaintext or its chunks. Nothing crashes, and what Chunks yields
// tiles the file.
func FuzzTree(f *testing.F) {
	f.Add(uint64(3*chunk64+100), uint8(1), binary.BigEndian.AppendUint64(nil, chunk64), uint8(1))
	f.Add(uint64(9*chunk64), uint8(2), []byte{}, uint8(2))
	f.Add(uint64(1<<50), uint8(3), []byte{1}, uint8(3))
	f.Fuzz(func(t *testing.T, size uint64, depth uint8, sizes []byte, level uint8) {
		const maxRefs = 4
		if size > 64*chunk64*2 {
			size %= 64 * chunk64 * 2 // keeps the walk short
		}
		store := newBlobs()
		zeros, err := SealTo(t.Context(), store, make([]byte, chunk64), nil)
		if err != nil {
			t.Fatal(err)
		}
		var refs []Ref
		for ; len(sizes) >= 8 && len(refs) < 5; sizes = sizes[8:] {
			refs = append(refs, sized(zeros, binary.BigEndian.Uint64(sizes)))
		}
		for len(refs) < 2 {
			refs = append(refs, sized(zeros, chunk64))
		}
		for l := 1; l < int(level%4); l++ {
			inner := store.putIndex(l, refs, 0)
			for i := range refs {
				refs[i] = sized(inner, refs[i].Size)
			}
		}
		root := store.putIndex(int(level%4), refs, size)
		file := File{Root: root, Depth: depth, Size: size}
		end := uint64(0)
		tr := &tree{store, file, maxRefs}
		for chunk, err := range tr.chunks(context.Background(), 0) {
			if err != nil {
				return
			}
			if chunk.Offset != end || chunk.Ref.Size == 0 && size > 0 || chunk.Ref.Size > MaxChunkSize {
				t.Fatalf("chunk at %d of %d bytes, want offset %d", chunk.Offset, chunk.Ref.Size, end)
			}
			end += chunk.Ref.Size
		}
		if end != size {
			t.Fatalf("chunks end at %d of %d", end, size)
		}
		if _, err := newReader(context.Background(), store, file, maxRefs).ReadAt(make([]byte, 1), 0); err == io.EOF && size > 0 {
			t.Fatal("no first byte")
		}
	})
}

// FuzzInventory promises the same of inventories.
func FuzzInventory(f *testing.F) {
	for level := range uint64(3) {
		blob, _ := dcbor.Marshal(inventory{1, level, concat(someIDs(2))})
		f.Add(blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		store := newBlobs()
		id := blobnet.Sum(blob)
		store.m[id] = blob
		ids, err := slice(Inventory(t.Context(), store, id))
		if err != nil {
			return
		}
		again := newBlobs()
		if top, err := EncodeInventory(t.Context(), again, ids); err != nil || top != id {
			t.Fatalf("%x became %x, %v", blob, again.m[top], err)
		}
	})
}

// FuzzFile promises that Encode and NewReader are inverse, whatever the bytes
// and however they arrive.
func FuzzFile(f *testing.F) {
	f.Add([]byte("x"), uint32(70_000), uint8(2))
	f.Fuzz(func(t *testing.T, seed []byte, size uint32, workers uint8) {
		plain := make([]byte, size%(5*chunk64))
		for i := 0; i < len(plain) && len(seed) > 0; {
			i += copy(plain[i:], seed)
		}
		store := newBlobs()
		file, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: chunk64, Workers: int(workers%5) + 1}, 2)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := newReader(t.Context(), store, file, 2).WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), plain) {
			t.Fatal("other bytes", err)
		}
	})
}
