package erasure_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

// bytesOf is S(label) of codec/testdata/README.md.
type bytesOf struct {
	label string
	next  uint64
	left  []byte
}

func (s *bytesOf) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(s.left) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.label), s.next))
			s.next++
			s.left = sum[:]
		}
		m := copy(p[n:], s.left)
		n, s.left = n+m, s.left[m:]
	}
	return n, nil
}

// TestVectors promises that the fast code gives what the naive one of package
// codec's tests gave, from which the vectors are.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../testdata/vectors/coded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Size, ChunkSize, Data, Parity, BlobCount int
		Root                                     codec.Ref
		FirstStripe, Copies                      []blobnet.ID
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for _, v := range all {
		code, err := erasure.New(codec.Coding{Data: v.Data, Parity: v.Parity})
		if err != nil {
			t.Fatal(err)
		}
		plain := make([]byte, v.Size)
		io.ReadFull(&bytesOf{label: "aml test plaintext"}, plain)
		store := memstore.New(memstore.Config{})
		f, err := codec.Encode(t.Context(), bytes.NewReader(plain), store, codec.Config{ChunkSize: v.ChunkSize, Rand: &bytesOf{label: "aml test key"}, Erasure: code})
		if err != nil || f.Root != v.Root {
			t.Errorf("%d bytes, %d+%d: another root, %v", v.Size, v.Data, v.Parity, err)
			continue
		}
		if got := blobsOf(stripesOf(t, store, f)[0]); !slices.Equal(got, v.FirstStripe) {
			t.Errorf("%d bytes, %d+%d: another first stripe", v.Size, v.Data, v.Parity)
		}
		if st, err := store.Stats(t.Context()); err != nil || st.BlobCount != int64(v.BlobCount) {
			t.Errorf("%d bytes, %d+%d: %d blobs, want %d", v.Size, v.Data, v.Parity, st.BlobCount, v.BlobCount)
		}
	}
}
