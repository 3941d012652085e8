package erasure_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

type fataler interface {
	Helper()
	Fatal(...any)
}

// newFile returns a store that holds a file of size bytes with parity, and the
// ids of all its blobs.
func newFile(t fataler, size, chunkSize int, coding codec.Coding) (*memstore.Store, codec.File, []byte, []blobnet.ID) {
	t.Helper()
	code, err := erasure.New(coding)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(coding.Data)}).Read(plain)
	store := memstore.New(memstore.Config{})
	f, err := codec.Encode(context.Background(), bytes.NewReader(plain), store, codec.Config{ChunkSize: chunkSize, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	var ids []blobnet.ID
	for id, err := range codec.Blobs(context.Background(), store, f) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return store, f, plain, ids
}

func stripesOf(t fataler, src blobnet.Source, f codec.File) (all []codec.Stripe) {
	t.Helper()
	for s, err := range codec.Stripes(context.Background(), src, f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// blobsOf returns the ids of a stripe.
func blobsOf(s codec.Stripe) (ids []blobnet.ID) {
	for _, m := range append(slices.Clone(s.Data), s.Parity...) {
		ids = append(ids, m.ID)
	}
	return ids
}

func readAll(src blobnet.Source, f codec.File) ([]byte, error) {
	var got bytes.Buffer
	_, err := codec.NewReader(context.Background(), src, f).WriteTo(&got)
	return got.Bytes(), err
}

var codings = []codec.Coding{{Data: 2, Parity: 1}, {Data: 2, Parity: 4}, {Data: 3, Parity: 2}, {Data: 10, Parity: 4}, {Data: 64, Parity: 32}}

func TestEveryBlobIsListedOnceAndStoredOnce(t *testing.T) {
	for _, coding := range codings {
		for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 10 * 64 << 10, 33*64<<10 + 7} {
			store, f, plain, ids := newFile(t, size, 64<<10, coding)
			st, err := store.Stats(t.Context())
			slices.SortFunc(ids, blobnet.ID.Compare)
			if distinct := len(slices.Compact(slices.Clone(ids))); err != nil || distinct != len(ids) || int64(distinct) != st.BlobCount {
				t.Errorf("%v, %d bytes: %d blobs listed, %d distinct, %d stored", coding, size, len(ids), distinct, st.BlobCount)
			}
			chunks := max(1, (size+64<<10-1)/(64<<10))
			if want := 1 + coding.Parity + chunks + (chunks+coding.Data-1)/coding.Data*coding.Parity; len(ids) != want || f.Depth != 1 {
				t.Errorf("%v, %d bytes: %d blobs at depth %d, want %d", coding, size, len(ids), f.Depth, want)
			}
			if got, err := readAll(store, f); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%v, %d bytes: %v", coding, size, err)
			}
		}
	}
}

// TestAnyParityLossesPerStripeHeal deletes as many blobs of every stripe as it
// has parity, and the root with all but one of its copies.
func TestAnyParityLossesPerStripeHeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coding := rapid.SampledFrom(codings[:4]).Draw(t, "coding")
		size := rapid.OneOf(rapid.SampledFrom([]int{0, 1, 600, 64 << 10}), rapid.IntRange(0, 6*64<<10)).Draw(t, "size")
		store, f, plain, ids := newFile(t, size, 64<<10, coding)
		var gone []blobnet.ID
		for _, s := range stripesOf(t, store, f) {
			of := rapid.Permutation(blobsOf(s)).Draw(t, "lost")
			gone = append(gone, of[:coding.Parity]...)
		}
		top := rapid.Permutation(ids[:1+coding.Parity]).Draw(t, "top") // the root and its copies
		gone = append(gone, top[:coding.Parity]...)
		if err := store.Delete(context.Background(), gone...); err != nil {
			t.Fatal(err)
		}
		spares := func(yield func(blobnet.ID, error) bool) {
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
		src, err := erasure.NewSource(erasure.Config{Source: store, File: f, Spares: spares})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(src, f); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("reading with blobs lost: %v", err)
		}
		for _, id := range gone[:min(3, len(gone))] {
			if blob, err := src.Get(context.Background(), id, nil); err != nil || blobnet.Sum(blob) != id {
				t.Fatalf("a lost blob: %v", err)
			}
		}
		res, err := erasure.Repair(context.Background(), erasure.RepairConfig{Store: store, File: f})
		if err != nil || len(res.Failed) > 0 || res.Lost != len(gone) || res.Rebuilt != len(gone) || res.Blobs != len(ids) || res.Coding != coding {
			t.Fatalf("%d lost: %+v, %v", len(gone), res, err)
		}
		has, err := store.Has(context.Background(), ids...)
		if err != nil || slices.Contains(has, false) {
			t.Fatalf("repaired, but not all is there: %v", err)
		}
	})
}

func TestOneLossTooManyNamesTheStripe(t *testing.T) {
	coding := codec.Coding{Data: 4, Parity: 2}
	store, f, _, _ := newFile(t, 10*64<<10, 64<<10, coding)
	all := stripesOf(t, store, f)
	bad := all[1]
	if err := store.Delete(t.Context(), append(blobsOf(bad)[1:4], blobsOf(all[0])[:2]...)...); err != nil {
		t.Fatal(err)
	}
	src, err := erasure.NewSource(erasure.Config{Source: store, File: f})
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Get(t.Context(), bad.Data[1].ID, nil)
	var lost *erasure.LostError
	if !errors.As(err, &lost) || !errors.Is(err, blobnet.ErrNotFound) || lost.Stripe.Number != 1 || lost.Here != 3 {
		t.Fatalf("got %v", err)
	}
	if want := "stripe 1 of the chunks under index blob " + f.Root.ID.Short() + ": 3 of 6 blobs are here, 4 are needed"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
	res, err := erasure.Repair(t.Context(), erasure.RepairConfig{Store: store, File: f})
	if err != nil || len(res.Failed) != 1 || !errors.As(res.Failed[0], &lost) || res.Lost != 5 || res.Rebuilt != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestIndexBlobsHealAsChunksDo has more than one index of level 1.
func TestIndexBlobsHealAsChunksDo(t *testing.T) {
	coding := codec.Coding{Data: 3, Parity: 2}
	store, f, plain, ids := newFile(t, 1500*64<<10+5, 64<<10, coding)
	if f.Depth != 2 {
		t.Fatalf("depth %d", f.Depth)
	}
	all := stripesOf(t, store, f)
	top := all[0]
	if top.Level != 1 || len(top.Data) != 2 {
		t.Fatalf("the first stripe has %d blobs of level %d", len(top.Data), top.Level)
	}
	for _, m := range append(slices.Clone(top.Data), top.Parity...) {
		if blob, err := store.Get(t.Context(), m.ID, nil); err != nil || len(blob) != m.Size {
			t.Errorf("an index blob of %d bytes, said to be %d: %v", len(blob), m.Size, err)
		}
	}
	gone := []blobnet.ID{f.Root.ID, top.Data[0].ID, top.Data[1].ID, ids[1], all[1].Data[1].ID, all[len(all)-1].Data[0].ID, all[len(all)-1].Parity[0].ID}
	if err := store.Delete(t.Context(), gone...); err != nil {
		t.Fatal(err)
	}
	res, err := erasure.Repair(t.Context(), erasure.RepairConfig{Store: store, File: f, Verify: true})
	if err != nil || len(res.Failed) > 0 || res.Rebuilt != len(gone) {
		t.Fatalf("%+v, %v", res, err)
	}
	if got, err := readAll(store, f); err != nil || !bytes.Equal(got, plain) {
		t.Error(err)
	}
}

func TestAFileWithoutParityIsLeftAlone(t *testing.T) {
	store := memstore.New(memstore.Config{})
	for _, size := range []int{5, 200_000} {
		f, err := codec.Encode(t.Context(), bytes.NewReader(make([]byte, size)), store, codec.Config{ChunkSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := erasure.Repair(t.Context(), erasure.RepairConfig{Store: store, File: f}); !errors.Is(err, erasure.ErrNotCoded) {
			t.Errorf("%d bytes: %v", size, err)
		}
		src, err := erasure.NewSource(erasure.Config{Source: store, File: f})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Errorf("a blob of no file: %v", err)
		}
	}
}

// slowly is a source that never answers for some blobs.
type slowly struct {
	blobnet.Source
	stuck map[blobnet.ID]bool
	mu    sync.Mutex // guards asked
	asked []blobnet.ID
}

func (s *slowly) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	s.mu.Lock()
	s.asked = append(s.asked, id)
	s.mu.Unlock()
	if s.stuck[id] {
		<-ctx.Done()
		return dst, ctx.Err()
	}
	return s.Source.Get(ctx, id, dst)
}

func TestASlowBlobIsRebuiltFromOthersAndTheTailCancelled(t *testing.T) {
	coding := codec.Coding{Data: 4, Parity: 3}
	store, f, plain, _ := newFile(t, 8*64<<10, 64<<10, coding)
	first := stripesOf(t, store, f)[0]
	synctest.Test(t, func(t *testing.T) {
		from := &slowly{Source: store, stuck: map[blobnet.ID]bool{first.Data[0].ID: true, first.Data[2].ID: true, first.Parity[1].ID: true}}
		src, err := erasure.NewSource(erasure.Config{Source: from, File: f, Slow: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		blob, err := src.Get(t.Context(), first.Data[0].ID, nil)
		if err != nil || blobnet.Sum(blob) != first.Data[0].ID {
			t.Fatal(err)
		}
		// A second until it is slow, then one more for as many as are stuck
		// beyond the two extra.
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		synctest.Wait() // finds a tail that was not cancelled
		if got, err := readAll(src, f); err != nil || !bytes.Equal(got, plain) {
			t.Error(err)
		}
	})
}

func TestParityThatIsNotThatOfTheDataIsRefused(t *testing.T) {
	code := &lying{}
	var err error
	if code.Code, err = erasure.New(codec.Coding{Data: 2, Parity: 1}); err != nil {
		t.Fatal(err)
	}
	store := memstore.New(memstore.Config{})
	f, err := codec.Encode(t.Context(), bytes.NewReader(make([]byte, 130_000)), store, codec.Config{ChunkSize: 64 << 10, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	s := stripesOf(t, store, f)[0]
	if err := store.Delete(t.Context(), s.Data[0].ID); err != nil {
		t.Fatal(err)
	}
	src, err := erasure.NewSource(erasure.Config{Source: store, File: f})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Get(t.Context(), s.Data[0].ID, nil); !errors.Is(err, codec.ErrIndex) {
		t.Errorf("got %v", err)
	}
}

type lying struct{ *erasure.Code }

func (l *lying) Add(parity [][]byte, place int, blob []byte) error {
	if place == 0 {
		parity[0][0] ^= 1
	}
	return l.Code.Add(parity, place, blob)
}

func TestParse(t *testing.T) {
	if c, err := erasure.Parse("10+4"); err != nil || c != (codec.Coding{Data: 10, Parity: 4}) {
		t.Errorf("%v, %v", c, err)
	}
	for _, s := range []string{"", "10", "10+", "+4", "0+0", "1+1", "65+1", "10+33", "4+9", "010+4", "10+-4", "10+4+1", " 10+4"} {
		if _, err := erasure.Parse(s); !errors.Is(err, codec.ErrCoding) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// BenchmarkEncode compares encoding with and without parity.
func BenchmarkEncode(b *testing.B) {
	plain := make([]byte, 64<<20)
	for _, name := range []string{"none", "10+4"} {
		var cfg codec.Config
		if name != "none" {
			coding, err := erasure.Parse(name)
			if err != nil {
				b.Fatal(err)
			}
			if cfg.Erasure, err = erasure.New(coding); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				if _, err := codec.Encode(b.Context(), bytes.NewReader(plain), discard{}, cfg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Put(context.Context, blobnet.ID, []byte) error { return nil }
