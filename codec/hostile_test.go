package codec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

const chunk64 = MinChunkSize

// everyWayIn reads f in all ways there are and returns the errors.
func everyWayIn(t *testing.T, src blobnet.Source, f File) map[string]error {
	t.Helper()
	errs := make(map[string]error)
	_, errs["Chunks"] = slice(Chunks(t.Context(), src, f))
	_, errs["Blobs"] = slice(Blobs(t.Context(), src, f))
	_, errs["WriteTo"] = NewReader(t.Context(), src, f).WriteTo(io.Discard)
	_, errs["Read"] = io.Copy(io.Discard, struct{ io.Reader }{NewReader(t.Context(), src, f)})
	r := NewReader(t.Context(), src, f)
	for _, off := range []int64{0, r.Size() / 2, r.Size() - 1} {
		if _, err := r.ReadAt(make([]byte, 1), off); err != nil {
			errs["ReadAt"] = err
		}
	}
	return errs
}

func wantAll(t *testing.T, what string, errs map[string]error, want error) {
	t.Helper()
	for way, err := range errs {
		if !errors.Is(err, want) {
			t.Errorf("%s: %s: got %v, want %v", what, way, err, want)
		}
	}
}

// hostileTree makes a file whose chunk refs exist, and whose root is up to the
// attacker.
type hostileTree struct {
	*blobs
	zeros, tail Ref // a chunk of chunk64 zeros, and one of 100
}

func newHostileTree(t *testing.T) *hostileTree {
	h := &hostileTree{blobs: newBlobs()}
	var err error
	if h.zeros, err = SealTo(t.Context(), h, make([]byte, chunk64), nil); err != nil {
		t.Fatal(err)
	}
	if h.tail, err = SealTo(t.Context(), h, make([]byte, 100), nil); err != nil {
		t.Fatal(err)
	}
	return h
}

// refs returns n refs of full chunks.
func (h *hostileTree) refs(n int, more ...Ref) (refs []Ref) {
	for range n {
		refs = append(refs, h.zeros)
	}
	return append(refs, more...)
}

func sized(ref Ref, size uint64) Ref {
	ref.Size = size
	return ref
}

func TestRootIndexThatLiesIsRefused(t *testing.T) {
	h := newHostileTree(t)
	const size = 3*chunk64 + 100
	good := h.refs(3, h.tail)
	wantAll(t, "the good one", everyWayIn(t, h, File{Root: h.putIndex(1, good, size), Depth: 1, Size: size, SHA256: zerosSum(size)}), nil)

	for what, refs := range map[string][]Ref{
		"no refs":                    {},
		"a single ref":               h.refs(0, sized(h.zeros, size)),
		"one ref too few":            h.refs(3),
		"one ref too many":           h.refs(4, h.tail),
		"an empty ref at the end":    h.refs(3, h.tail, sized(h.tail, 0)),
		"an empty ref at the front":  append([]Ref{sized(h.tail, 0)}, good...),
		"a short chunk in between":   h.refs(1, sized(h.zeros, chunk64-1), h.zeros, sized(h.tail, 101)),
		"a long chunk in between":    h.refs(1, sized(h.zeros, chunk64+1), h.zeros, sized(h.tail, 99)),
		"the last ref too large":     h.refs(3, sized(h.tail, 101)),
		"the last ref too small":     h.refs(3, sized(h.tail, 99)),
		"the short one first":        append([]Ref{h.tail}, h.refs(3)...),
		"sizes that wrap around":     {sized(h.zeros, 1<<63), sized(h.zeros, 1<<63+size)},
		"sizes that wrap in the end": h.refs(3, sized(h.tail, 1<<64-1), sized(h.tail, 101)),
		"chunks under the least":     {sized(h.zeros, chunk64/2), sized(h.zeros, chunk64/2), sized(h.zeros, size-chunk64)},
		"chunks of no power of two":  {sized(h.zeros, 100_000), sized(h.zeros, size-100_000)},
		"chunks over the most":       {sized(h.zeros, 2*MaxChunkSize), sized(h.tail, size)},
		"zero as chunk size":         {sized(h.zeros, 0), sized(h.zeros, 0)},
		"2^64-1 as chunk size":       {sized(h.zeros, 1<<64-1), sized(h.zeros, 1<<64-1)},
	} {
		f := File{Root: h.putIndex(1, refs, size), Depth: 1, Size: size}
		wantAll(t, what, everyWayIn(t, h, f), ErrIndex)
	}
}

func TestLargestIndexFitsItsLimit(t *testing.T) {
	if want := PaddedSize(16+MaxRefs*116) + Overhead; maxIndexBlob != want {
		t.Errorf("limit is %d, want %d", maxIndexBlob, want)
	}
	refs := make([]Ref, MaxRefs)
	for i := range refs {
		refs[i].Size = 1<<64 - 1
	}
	plain, err := index{refs: refs}.encode(MaxDepth)
	if err != nil || PaddedSize(len(plain))+Overhead > maxIndexBlob {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	if want := PaddedSize(16+MaxRefs*116+20+32*maxParityIDs) + Overhead; maxCodedBlob != want {
		t.Errorf("limit with parity is %d, want %d", maxCodedBlob, want)
	}
	for k := MinData; k <= MaxData; k++ {
		coding := Coding{k, min(MaxParity, 2*k)}
		ids := make([]blobnet.ID, coding.stripes(MaxRefs)*coding.Parity)
		plain, err := index{refs, coding, ids}.encode(MaxDepth)
		if err != nil || len(plain) > 16+MaxRefs*116+20+32*maxParityIDs {
			t.Errorf("%v: %d bytes, %v", coding, len(plain), err)
		}
		if PaddedSize(len(plain))+Overhead > maxCodedBlob {
			t.Errorf("%v: %d bytes are over the limit", coding, len(plain))
		}
	}
}

func zerosSum(n int) (sum Hash) { return Hash(blobnet.Sum(make([]byte, n))) }

func TestIndexWithTooManyRefsIsRefused(t *testing.T) {
	h := newHostileTree(t)
	const size = (MaxRefs + 1) * chunk64
	for depth := uint8(1); depth <= 2; depth++ { // as a root, and below one
		root := h.putIndex(1, h.refs(MaxRefs+1), size)
		if depth == 2 {
			root = h.putIndex(2, []Ref{sized(root, MaxRefs*chunk64), sized(root, chunk64)}, size)
		}
		wantAll(t, "1,025 refs", everyWayIn(t, h, File{Root: root, Depth: depth, Size: size}), ErrIndex)
	}
}

func TestInnerIndexThatLiesIsRefused(t *testing.T) {
	h := newHostileTree(t)
	const full = MaxRefs * chunk64
	const size = full + chunk64 + 100
	first, second := h.putIndex(1, h.refs(MaxRefs), full), h.putIndex(1, h.refs(1, h.tail), chunk64+100)
	file := func(refs ...Ref) File { return File{Root: h.putIndex(2, refs, size), Depth: 2, Size: size} }
	if errs := everyWayIn(t, h, file(first, second)); errs["Chunks"] != nil || errs["ReadAt"] != nil || !errors.Is(errs["WriteTo"], ErrHash) {
		t.Fatal("the good one", errs)
	}
	for what, f := range map[string]File{
		"the root itself one level lower": file(first, sized(h.putIndex(2, []Ref{first, second}, size), chunk64+100)),
		"the first index again":           file(first, sized(first, chunk64+100)),
		"a middle index not full":         file(sized(h.putIndex(1, h.refs(MaxRefs-1), full), full), second),
		"refs that do not fill it":        file(first, h.putIndex(1, h.refs(1), chunk64+100)),
		"refs that overflow it":           file(first, h.putIndex(1, h.refs(2), chunk64+100)),
		"a level of 0":                    file(first, h.putIndex(0, h.refs(1, h.tail), chunk64+100)),
		"a level of 2":                    file(first, h.putIndex(2, h.refs(1, h.tail), chunk64+100)),
		"a level of 2^64-1":               file(first, h.putIndex(-1, h.refs(1, h.tail), chunk64+100)),
		"no refs":                         file(first, h.putIndex(1, nil, chunk64+100)),
		"a chunk in its place":            file(first, sized(h.tail, chunk64+100)),
		"a large chunk in its place":      file(first, sized(h.putPlain(make([]byte, MaxChunkSize), 0), chunk64+100)),
		"a root of level 1":               {Root: h.putIndex(1, []Ref{first, second}, size), Depth: 2, Size: size},
		"a root of level 3":               {Root: h.putIndex(3, []Ref{first, second}, size), Depth: 2, Size: size},
	} {
		errs := everyWayIn(t, h, f)
		wantAll(t, what, map[string]error{"Chunks": errs["Chunks"], "Blobs": errs["Blobs"], "ReadAt": errs["ReadAt"], "WriteTo": errs["WriteTo"]}, ErrIndex)
	}
}

func TestIndexPlaintextThatIsNotOneIsRefused(t *testing.T) {
	h := newHostileTree(t)
	const size = 2 * chunk64
	plain, err := index{refs: h.refs(2)}.encode(1)
	if err != nil {
		t.Fatal(err)
	}
	pad := func(b []byte, n int) []byte { return append(bytes.Clone(b), make([]byte, n-len(b))...) }
	marked := pad(plain, PaddedSize(len(plain)))
	marked[len(marked)-1] = 1
	five, _ := index{refs: h.refs(5)}.encode(1)
	format2, _ := dcbor.Marshal(indexBlob{Format: 3, Level: 1, Refs: h.refs(2)})
	type wider struct {
		indexBlob
		More uint64 `cbor:"7,keyasint"`
	}
	more, _ := dcbor.Marshal(wider{indexBlob{Format: 1, Level: 1, Refs: h.refs(2)}, 0})
	coded, _ := dcbor.Marshal(indexBlob{Format: 1, Level: 1, Refs: h.refs(2), Data: 2, Parity: 1, IDs: make([]byte, 32)})
	for what, padded := range map[string][]byte{
		"not padded":            plain,
		"padded too far":        pad(plain, 2*PaddedSize(len(plain))),
		"padding that is not 0": marked,
		"nothing":               {},
		"zeros":                 make([]byte, MinPadded),
		"no CBOR":               testPlain(MinPadded),
		"CBOR of another kind":  pad([]byte{0x81, 0x01}, MinPadded),
		"an unknown format":     pad(format2, PaddedSize(len(format2))),
		"parity in format 1":    pad(coded, PaddedSize(len(coded))),
		"an unknown field":      pad(more, PaddedSize(len(more))),
		"cut":                   five[:MinPadded],
		"as large as a blob":    pad(plain, MaxChunkSize),
	} {
		key := Key{9}
		blob := sealPadded(padded, key)
		ref := MakeRef(blob, key, size)
		if err := h.Put(t.Context(), ref.ID, blob); err != nil {
			t.Fatal(err)
		}
		wantAll(t, what, everyWayIn(t, h, File{Root: ref, Depth: 1, Size: size}), ErrIndex)
	}
}

func TestFileThatCannotBeIsRefused(t *testing.T) {
	for what, f := range map[string]File{
		"sizes differ":      {Size: 5, Root: Ref{Size: 6}},
		"depth 4":           {Size: 1 << 40, Root: Ref{Size: 1 << 40}, Depth: 4},
		"depth 255":         {Depth: 255},
		"large at depth 0":  {Size: MaxChunkSize + 1, Root: Ref{Size: MaxChunkSize + 1}},
		"too large at 1":    {Size: MaxChunkSize*MaxRefs + 1, Root: Ref{Size: MaxChunkSize*MaxRefs + 1}, Depth: 1},
		"too small at 2":    {Size: chunk64 * MaxRefs, Root: Ref{Size: chunk64 * MaxRefs}, Depth: 2},
		"too large at 3":    {Size: 1<<51 + 1, Root: Ref{Size: 1<<51 + 1}, Depth: 3},
		"2^64-1 at depth 3": {Size: 1<<64 - 1, Root: Ref{Size: 1<<64 - 1}, Depth: 3},
	} {
		if err := f.Validate(); !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", what, err)
		}
		store := newBlobs()
		r := NewReader(t.Context(), store, f)
		_, readAt := r.ReadAt(make([]byte, 1), 0)
		_, read := r.Read(make([]byte, 1))
		_, writeTo := r.WriteTo(io.Discard)
		_, chunks := slice(Chunks(t.Context(), store, f))
		_, ids := slice(Blobs(t.Context(), store, f))
		wantAll(t, what, map[string]error{"ReadAt": readAt, "Read": read, "WriteTo": writeTo, "Chunks": chunks, "Blobs": ids}, ErrIndex)
		if store.gets > 0 {
			t.Errorf("%s: a blob was asked for", what)
		}
	}
	for what, f := range map[string]File{
		"empty":              {},
		"largest at depth 0": {Size: MaxChunkSize, Root: Ref{Size: MaxChunkSize}},
		"empty at depth 1":   {Depth: 1},
		"largest at depth 3": {Size: 1 << 51, Root: Ref{Size: 1 << 51}, Depth: 3},
	} {
		if err := f.Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBlobsThatAreNotTheirOwn reads a file of which one blob, at each place of
// the tree, was made into something else by a store that does not check.
func TestBlobsThatAreNotTheirOwn(t *testing.T) {
	good := newBlobs()
	plain := testPlain(5*chunk64 + 10)
	f, err := Encode(t.Context(), bytes.NewReader(plain), good, Config{ChunkSize: chunk64})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := slice(Blobs(t.Context(), good, f))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := Seal(nil, testPlain(chunk64), Key{3})
	for i, id := range ids {
		next := ids[(i+1)%len(ids)]
		for what, change := range map[string]func(m map[blobnet.ID][]byte){
			"truncated": func(m map[blobnet.ID][]byte) { m[id] = m[id][:len(m[id])/2] },
			"flipped": func(m map[blobnet.ID][]byte) {
				m[id] = bytes.Clone(m[id])
				m[id][len(m[id])/2] ^= 0x10
			},
			"swapped": func(m map[blobnet.ID][]byte) { m[id], m[next] = m[next], m[id] },
			"foreign": func(m map[blobnet.ID][]byte) { m[id] = foreign },
			"empty":   func(m map[blobnet.ID][]byte) { m[id] = nil },
		} {
			bad := newBlobs()
			for id, blob := range good.m {
				bad.m[id] = blob
			}
			change(bad.m)
			var got bytes.Buffer
			_, err := NewReader(t.Context(), bad, f).WriteTo(&got)
			if !errors.Is(err, ErrSealed) && !errors.Is(err, ErrIndex) {
				t.Errorf("blob %d %s: %v", i, what, err)
			}
			if !bytes.HasPrefix(plain, got.Bytes()) {
				t.Errorf("blob %d %s: wrong bytes came out", i, what)
			}
			if _, err := io.ReadAll(struct{ io.Reader }{NewReader(t.Context(), bad, f)}); !errors.Is(err, ErrSealed) && !errors.Is(err, ErrIndex) {
				t.Errorf("blob %d %s: Read: %v", i, what, err)
			}
		}
		missing := newBlobs()
		for other, blob := range good.m {
			if other != id {
				missing.m[other] = blob
			}
		}
		if _, err := NewReader(t.Context(), missing, f).WriteTo(io.Discard); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("blob %d missing: %v", i, err)
		}
	}
}

func TestHashOfTheWholeIsCheckedAtTheEnd(t *testing.T) {
	for _, size := range []int{0, 10, 3*chunk64 + 10} {
		store := newBlobs()
		f, err := Encode(t.Context(), bytes.NewReader(testPlain(size)), store, Config{ChunkSize: chunk64})
		if err != nil {
			t.Fatal(err)
		}
		f.SHA256[5] ^= 1
		errs := everyWayIn(t, store, f)
		wantAll(t, "wrong hash", map[string]error{"Read": errs["Read"], "WriteTo": errs["WriteTo"]}, ErrHash)
		r := NewReader(t.Context(), store, f)
		r.Seek(1, io.SeekStart)
		if _, err := io.Copy(io.Discard, r); err != nil && size > 0 {
			t.Errorf("not read as a whole: %v", err)
		}
	}
}

// TestSizeThatGrowsIntoThePaddingIsCaughtByTheHash: the padding itself is
// zeros whatever the publisher says of the size.
func TestSizeThatGrowsIntoThePaddingIsCaughtByTheHash(t *testing.T) {
	store := newBlobs()
	f, err := Encode(t.Context(), bytes.NewReader(testPlain(1000)), store, Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.Size, f.Root.Size = 1010, 1010
	if _, err := io.ReadAll(NewReader(t.Context(), store, f)); !errors.Is(err, ErrHash) {
		t.Error(err)
	}
}

func TestWalkHoldsNoMoreThanItMust(t *testing.T) {
	h := newHostileTree(t)
	const full = MaxRefs * chunk64
	first, second := h.putIndex(1, h.refs(MaxRefs), full), h.putIndex(1, h.refs(1, h.tail), chunk64+100)
	f := File{Root: h.putIndex(2, []Ref{first, second}, full+chunk64+100), Depth: 2, Size: full + chunk64 + 100}
	n := 0
	for _, err := range Chunks(context.Background(), h, f) {
		if n++; err != nil {
			t.Fatal(err)
		}
		if n == 1 && h.gets != 2 || n == MaxRefs && h.gets != 2 || n == MaxRefs+1 && h.gets != 3 {
			t.Errorf("at chunk %d: %d blobs were got", n, h.gets)
		}
	}
	if n != MaxRefs+2 {
		t.Errorf("%d chunks", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	var last error
	for _, err := range Chunks(ctx, h, f) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if n != 4 || !errors.Is(last, context.Canceled) {
		t.Errorf("after a cancel: %d chunks, %v", n, last)
	}
	for range Blobs(t.Context(), h, f) {
		break // no panic, and no more
	}
}
