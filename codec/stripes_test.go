package codec

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// How long an index blob is has to be computed by encoding one. Of a file of a
// PiB a walk would encode a million, for every blob that is to be rebuilt.
func TestTheLengthsOfIndexBlobsAreComputedOnce(t *testing.T) {
	want := shape{DefaultChunkSize, Coding{10, 4}}
	x := index{refs: make([]Ref, MaxRefs), coding: want.coding}
	for i := range x.refs {
		x.refs[i].Size = span(want.chunkSize, 1, MaxRefs)
	}
	x.refs[MaxRefs-1].Size = 1
	x.parity = make([]blobnet.ID, want.coding.stripes(MaxRefs)*want.coding.Parity)
	tr := &tree{maxRefs: MaxRefs}
	walk := func() {
		n := 0
		tr.stripesOf(t.Context(), blobnet.ID{}, x, 2, want, func(s Stripe, err error) bool {
			if err != nil || s.Data[0].Size != fullIndexBlob(t, want) {
				t.Fatal(s.Data, err)
			}
			n += len(s.Data)
			return n < MaxRefs // what lies below is not there
		})
	}
	// With an index encoded for each of them there are many times as many; the
	// race detector adds a few of its own.
	if allocs := testing.AllocsPerRun(1, walk); allocs > 100*float64(want.coding.stripes(MaxRefs)) {
		t.Errorf("%v allocations", allocs)
	}
}

// fullIndexBlob is how long a full index of level 1 is.
func fullIndexBlob(t *testing.T, want shape) int {
	t.Helper()
	tr := &tree{maxRefs: MaxRefs}
	return tr.blobSize(Ref{Size: span(want.chunkSize, 1, MaxRefs)}, 1, want)
}
