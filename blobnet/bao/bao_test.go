package bao

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"

	"lukechampine.com/blake3"
	upstream "lukechampine.com/blake3/bao"
	"pgregory.net/rapid"

	"github.com/anonymous-media-library/aml/blobnet"
)

var update = flag.Bool("update", false, "rewrite testdata/slices.json")

// pattern is the blob of size bytes of which the vectors speak: byte i is i
// mod 251.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func rangeOf(blob []byte, offset, length int) blobnet.Range {
	return blobnet.Range{Tree: blake3.Sum256(blob), Size: len(blob), Offset: offset, Length: length}
}

func mustProve(t testing.TB, blob []byte, offset, length int) []byte {
	t.Helper()
	proof, err := Proof(nil, blob, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

var full = pattern(blobnet.MaxBlobSize)

func TestEveryRangeIsProvedAsUpstreamDoesAndGivesItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(1, 3*group), rapid.SampledFrom([]int{group, group + 1, 2 * group, 1<<20 + 16, 1 << 20, 2<<20 + 16, blobnet.MaxBlobSize}),
			rapid.IntRange(1, blobnet.MaxBlobSize)).Draw(t, "size")
		offset := rapid.IntRange(0, size-1).Draw(t, "offset")
		length := rapid.OneOf(rapid.IntRange(1, size-offset), rapid.IntRange(1, min(size-offset, 2*group))).Draw(t, "length")
		blob, prefix := full[:size], []byte("before")

		proof, err := Proof(prefix, blob, offset, length)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(proof, prefix) {
			t.Fatal("what was in dst is gone")
		}
		proof = proof[len(prefix):]
		if n := ProofSize(size, offset, length); n != len(proof) {
			t.Fatalf("ProofSize is %d, the proof has %d bytes", n, len(proof))
		}
		encoded, root := upstream.EncodeBuf(blob, 4, false)
		var want bytes.Buffer
		if err := upstream.ExtractSlice(&want, bytes.NewReader(encoded), nil, 4, uint64(offset), uint64(length)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(proof, want.Bytes()) {
			t.Fatal("another slice than upstream's")
		}
		r := blobnet.Range{Tree: root, Size: size, Offset: offset, Length: length}
		got, err := Verify(prefix, proof, r)
		if err != nil || !bytes.Equal(got, append(prefix, blob[offset:offset+length]...)) {
			t.Fatalf("%d bytes: %v", len(got), err)
		}
		// A flipped bit anywhere is found, and so is another range.
		bit := rapid.IntRange(0, len(proof)*8-1).Draw(t, "bit")
		proof[bit/8] ^= 1 << (bit % 8)
		if out, err := Verify(prefix, proof, r); !errors.Is(err, blobnet.ErrCorrupt) || len(out) != len(prefix) {
			t.Fatalf("bit %d flipped: %d bytes, %v", bit, len(out), err)
		}
	})
}

func TestHostileProofsAreCorrupt(t *testing.T) {
	blob := full[:5*group+100]
	good := mustProve(t, blob, group, 2*group)
	r := rangeOf(blob, group, 2*group)
	other := rangeOf(full[:5*group+101], group, 2*group)
	wrongTree := r
	wrongTree.Tree[0] ^= 1
	for name, c := range map[string]struct {
		proof []byte
		r     blobnet.Range
	}{
		"empty":                     {nil, r},
		"header only":               {good[:headerSize], r},
		"cut":                       {good[:len(good)-1], r},
		"longer":                    {append(slices.Clone(good), 0), r},
		"header says one more":      {append([]byte{good[0] + 1}, good[1:]...), r},
		"header says 2^63":          {append([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}, good[8:]...), r},
		"of another tree":           {good, wrongTree},
		"of a blob of another size": {good, other},
		"of the range before":       {mustProve(t, blob, 0, 2*group), r},
		"of the range behind":       {mustProve(t, blob, 2*group, 2*group), r},
		"all zero":                  {make([]byte, len(good)), r},
	} {
		dst := []byte("before")
		if got, err := Verify(dst, c.proof, c.r); !errors.Is(err, blobnet.ErrCorrupt) || !bytes.Equal(got, dst) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestRangesThatNoBlobHasAreTheCallersFault(t *testing.T) {
	const huge = int(^uint(0) >> 1)
	for _, c := range [][3]int{{0, 0, 0}, {0, 0, 1}, {10, 0, 0}, {10, 10, 0}, {10, 10, 1}, {10, 5, 6}, {10, -1, 2}, {10, 0, -1}, {10, 1, -1},
		{10, huge, 1}, {10, 1, huge}, {10, huge, huge}, {-1, 0, 1}, {blobnet.MaxBlobSize + 1, 0, 1}, {huge, 0, huge}} {
		size, offset, length := c[0], c[1], c[2]
		if n := ProofSize(size, offset, length); n != 0 {
			t.Errorf("%v: ProofSize is %d", c, n)
		}
		_, err := Verify(nil, nil, blobnet.Range{Size: size, Offset: offset, Length: length})
		if err == nil || errors.Is(err, blobnet.ErrCorrupt) {
			t.Errorf("%v: Verify gives %v", c, err)
		}
		if size >= 0 && size < 1<<10 {
			if _, err := Proof(nil, make([]byte, size), offset, length); err == nil {
				t.Errorf("%v: Proof gives no error", c)
			}
		}
	}
}

func TestProofsAreMadeAndCheckedWithoutGarbage(t *testing.T) {
	blob := full[:1<<20+16]
	r := rangeOf(blob, 3*group+5, 70_000)
	proof := mustProve(t, blob, r.Offset, r.Length)
	buf := make([]byte, 0, 2*len(proof))
	if n := testing.AllocsPerRun(10, func() { Proof(buf, blob, r.Offset, r.Length) }); n != 0 {
		t.Errorf("Proof allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() { Verify(buf, proof, r) }); n != 0 {
		t.Errorf("Verify allocates %v times", n)
	}
}

// vector is one proof in testdata/slices.json, of a blob whose byte i is i mod
// 251. The proof is given by its hash, and without its data: the nodes.
type vector struct {
	Size   int    `json:"size"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	Tree   string `json:"tree"`
	Proof  int    `json:"proofBytes"`
	SHA256 string `json:"proofSHA256"`
	Nodes  string `json:"nodes"` // the header and all chaining values, in the order of the proof
}

func makeVector(t *testing.T, size, offset, length int) vector {
	blob := pattern(size)
	proof := mustProve(t, blob, offset, length)
	tree, sum := blake3.Sum256(blob), sha256.Sum256(proof)
	return vector{size, offset, length, hex.EncodeToString(tree[:]), len(proof), hex.EncodeToString(sum[:]), hex.EncodeToString(nodesOf(proof, size, offset, length))}
}

// nodesOf leaves the data out of a proof.
func nodesOf(proof []byte, size, offset, length int) []byte {
	nodes, rest := slices.Clone(proof[:headerSize]), proof[headerSize:]
	var walk func(pos, n int)
	walk = func(pos, n int) {
		if !within(pos, n, offset, offset+length) {
			return
		}
		if n <= group {
			rest = rest[n:]
			return
		}
		nodes, rest = append(nodes, rest[:parentSize]...), rest[parentSize:]
		walk(pos, leftOf(n))
		walk(pos+leftOf(n), n-leftOf(n))
	}
	walk(0, size)
	return nodes
}

func TestVectors(t *testing.T) {
	const path = "testdata/slices.json"
	var list []vector
	for _, c := range [][3]int{{1, 0, 1}, {group, 0, group}, {group, 100, 1}, {group + 1, 0, 1}, {group + 1, group, 1}, {2 * group, group - 1, 2},
		{3*group + 7, 2 * group, group + 7}, {5 * group, 4 * group, group}, {1<<20 + 16, 1 << 19, 65536}, {1<<20 + 16, 1 << 20, 16}, {blobnet.MaxBlobSize, 0, blobnet.RangeAlign}} {
		list = append(list, makeVector(t, c[0], c[1], c[2]))
	}
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the vectors differ from what is made now: %v", err)
	}
}

func BenchmarkProof64KiBOf1MiB(b *testing.B) {
	blob, buf := full[:1<<20+16], make([]byte, 0, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		Proof(buf, blob, 1<<19, 64<<10)
	}
}

func BenchmarkVerify64KiBOf1MiB(b *testing.B) {
	blob, buf := full[:1<<20+16], make([]byte, 0, 1<<20)
	r := rangeOf(blob, 1<<19, 64<<10)
	proof := mustProve(b, blob, r.Offset, r.Length)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(buf, proof, r); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzVerify holds that no proof crashes Verify, and that what it takes is
// what the hash says: proving it again gives the same proof.
func FuzzVerify(f *testing.F) {
	blob := pattern(3*group + 7)
	good, _ := Proof(nil, blob, group, 10)
	f.Add(good, len(blob), group, 10)
	f.Add([]byte{}, 0, 0, 0)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9}, 1, 0, 1)
	f.Add(good[:100], blobnet.MaxBlobSize, blobnet.MaxBlobSize-1, 1)
	f.Add(good, -1, 1<<62, 1<<62)
	tree := blake3.Sum256(blob)
	f.Fuzz(func(t *testing.T, proof []byte, size, offset, length int) {
		n := ProofSize(size, offset, length)
		if n > blobnet.MaxBlobSize+8200 {
			t.Fatalf("a proof of %d bytes", n)
		}
		r := blobnet.Range{Tree: tree, Size: size, Offset: offset, Length: length}
		got, err := Verify(nil, proof, r)
		if err != nil {
			if got != nil {
				t.Fatalf("%d bytes with the error %v", len(got), err)
			}
			return
		}
		if len(got) != length || size != len(blob) || !bytes.Equal(got, blob[offset:offset+length]) {
			t.Fatalf("%d bytes of %d at %d that are not the blob's", len(got), size, offset)
		}
	})
}
