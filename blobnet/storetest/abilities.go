package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// testPutVerified asks of PutVerified what is asked of Put, but for the hash.
func testPutVerified(t *testing.T, open Open) {
	s := open(t, 10_000)
	v := needs[blobnet.VerifiedPutter](t, s)
	id, blob := Blob(1, 1000)
	want := slices.Clone(blob)
	for range 2 { // again is no error
		if err := v.PutVerified(t.Context(), id, blob); err != nil {
			t.Fatal(err)
		}
	}
	clear(blob)
	got, err := s.Get(t.Context(), id, nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Get gives %d bytes and %v, want the blob", len(got), err)
	}
	if st, ok := s.(blobnet.Stater); ok {
		if got, err := st.Stats(t.Context()); err != nil || got.BlobCount != 1 || got.CurrentSize != 1000 {
			t.Errorf("stats are %+v (%v), want one blob", got, err)
		}
	}
	large := make([]byte, blobnet.MaxBlobSize+1)
	wantErr(t, "PutVerified over the limit", v.PutVerified(t.Context(), blobnet.Sum(large), large), blobnet.ErrTooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late, blob := Blob(3, 100)
	wantErr(t, "PutVerified", v.PutVerified(ctx, late, blob), context.Canceled)
	if has(t, s, blobnet.Sum(large)) || has(t, s, late) || !has(t, s, id) {
		t.Error("a PutVerified that gave an error changed something")
	}
	if _, ok := s.(full); !ok {
		return
	}
	over, blob := Blob(2, 10_001)
	wantErr(t, "PutVerified over the quota", v.PutVerified(t.Context(), over, blob), blobnet.ErrFull)
	if has(t, s, over) || !has(t, s, id) {
		t.Error("a PutVerified over the quota changed something")
	}
	// It counts as a use, as Put does.
	other := put(t, s, 4, 8000)
	if err := v.PutVerified(t.Context(), id, want); err != nil {
		t.Fatal(err)
	}
	if put(t, s, 5, 2000); !has(t, s, id) || has(t, s, other) {
		t.Error("a blob that was put again counts as used longest ago")
	}
}

// sender is a store with a quicker Get for those who send blobs to somebody who
// checks them.
type sender interface {
	blobnet.Store
	GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)
}

func testGetToSend(t *testing.T, store blobnet.Store) {
	s := needs[sender](t, store)
	for _, size := range []int{8, 1000, 1 << 20, blobnet.MaxBlobSize} {
		id := put(t, s, 1, size)
		_, want := Blob(1, size)
		for range 2 {
			got, err := s.GetToSend(t.Context(), id, []byte("before"))
			if err != nil || string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
				t.Errorf("GetToSend of %d bytes gives %d and %v", size, len(got), err)
			}
		}
	}
	absent, _ := Blob(2, 1000)
	_, err := s.GetToSend(t.Context(), absent, nil)
	wantErr(t, "GetToSend of a missing blob", err, blobnet.ErrNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.GetToSend(ctx, absent, nil)
	wantErr(t, "GetToSend", err, context.Canceled)
}

func testDelete(t *testing.T, s blobnet.Store) {
	d := needs[blobnet.Deleter](t, s)
	a, b, c := put(t, s, 1, 100), put(t, s, 2, 100), put(t, s, 3, 100)
	absent, _ := Blob(4, 100)
	if err := d.Delete(t.Context(), a, absent, b, a); err != nil {
		t.Fatal(err)
	}
	if has(t, s, a) || has(t, s, b) || !has(t, s, c) {
		t.Error("want the third blob alone to be left")
	}
	_, err := s.Get(t.Context(), a, nil)
	wantErr(t, "Get", err, blobnet.ErrNotFound)
	put(t, s, 1, 100)
	wantBlob(t, s, a)
}

func testList(t *testing.T, s blobnet.Store) {
	l := needs[blobnet.Lister](t, s)
	const count = 1100 // more than a page of the stores we have
	want := make(map[blobnet.ID]int64)
	for n := range count {
		size := 8 + n%10
		want[put(t, s, n, size)] = int64(size)
	}
	pinned := put(t, s, 1, 9)
	if p, ok := s.(blobnet.Pinner); ok {
		absent, _ := Blob(count, 8)
		if err := p.Pin(t.Context(), pinned, absent, pinned); err != nil {
			t.Fatal(err)
		}
	}
	var last blobnet.ID
	n := 0
	if err := l.List(t.Context(), func(info blobnet.Info) error {
		if n > 0 && bytes.Compare(last[:], info.ID[:]) >= 0 {
			t.Errorf("%s comes after %s", info.ID.Short(), last.Short())
		}
		if size, ok := want[info.ID]; !ok || size != info.Size {
			t.Errorf("List has %s of %d bytes, want %d", info.ID.Short(), info.Size, size)
		}
		if _, ok := s.(blobnet.Pinner); ok && info.Pinned != (info.ID == pinned) {
			t.Errorf("List says that %s is pinned: %v", info.ID.Short(), info.Pinned)
		}
		if info.Pins != 0 && info.Pins != 2 || info.Pins != 0 && !info.Pinned {
			t.Errorf("List says that %s has %d pins", info.ID.Short(), info.Pins)
		}
		if !info.Used.IsZero() && time.Since(info.Used).Abs() > time.Hour {
			t.Errorf("List says that %s was used at %v", info.ID.Short(), info.Used)
		}
		if n%500 == 0 && !has(t, s, info.ID) { // the store can be used meanwhile
			t.Error("List has a blob that Has does not")
		}
		last = info.ID
		n++
		return nil
	}); err != nil || n != count {
		t.Errorf("List had %d blobs (%v), want %d", n, err, count)
	}
	stop := errors.New("stop")
	n = 0
	err := l.List(t.Context(), func(blobnet.Info) error { n++; return stop })
	if wantErr(t, "List", err, stop); n != 1 {
		t.Errorf("List went on %d times after an error", n-1)
	}
}

func testPins(t *testing.T, s blobnet.Store) {
	all := needs[full](t, s)
	ctx := t.Context()
	check := func(when string, want bool, id blobnet.ID) {
		t.Helper()
		err := all.Delete(ctx, id)
		if want {
			wantErr(t, "Delete "+when, err, blobnet.ErrPinned)
		} else if err != nil {
			t.Errorf("Delete %s: %v", when, err)
		}
		if has(t, s, id) != want {
			t.Errorf("%s: stored is %v", when, !want)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := put(t, s, 1, 100)
	ok(all.Pin(ctx, id, id))
	check("of a blob pinned twice", true, id)
	ok(all.Unpin(ctx, id))
	check("of a blob with one pin left", true, id)
	other := put(t, s, 2, 100)
	wantErr(t, "Delete of one pinned among others", all.Delete(ctx, other, id), blobnet.ErrPinned)
	if !has(t, s, other) {
		t.Error("a Delete that was refused deleted something")
	}
	ok(all.Unpin(ctx, id))
	ok(all.Unpin(ctx, id)) // below zero
	check("of a blob without pins", false, id)

	early, _ := Blob(3, 100)
	ok(all.Pin(ctx, early))
	if has(t, s, early) {
		t.Error("a pin made a blob appear")
	}
	ok(all.Delete(ctx, early))
	put(t, s, 3, 100)
	check("of a blob pinned before it came", true, early)
	ok(all.Unpin(ctx, early))
	check("after the early pin's end", false, early)
}

func testOrderedUnpins(t *testing.T, s blobnet.Store) {
	all := needs[full](t, s)
	check := func(want blobnet.Mark) {
		t.Helper()
		if got, err := all.UnpinnedTo(t.Context()); err != nil || got != want {
			t.Errorf("the mark is %+v (%v), want %+v", got, err, want)
		}
	}
	check(blobnet.Mark{})
	id := put(t, s, 1, 100)
	for n := range int64(2) {
		if err := all.Pin(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "Delete of a pinned blob", all.Delete(t.Context(), id), blobnet.ErrPinned)
		to := blobnet.Mark{Number: 5, Left: 3 - n}
		if err := all.UnpinTo(t.Context(), to, id); err != nil {
			t.Fatal(err)
		}
		check(to)
	}
	if err := all.Delete(t.Context(), id); err != nil {
		t.Errorf("Delete of what was unpinned: %v", err)
	}
}

func testStats(t *testing.T, s blobnet.Store) {
	all := needs[full](t, s)
	check := func(when string, want blobnet.Stats) {
		t.Helper()
		want.MaxSize = 1 << 20
		if got, err := all.Stats(t.Context()); err != nil || got != want {
			t.Errorf("%s: stats are %+v (%v), want %+v", when, got, err, want)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check("empty", blobnet.Stats{})
	a, b := put(t, s, 1, 100), put(t, s, 2, 50)
	put(t, s, 2, 50)
	check("two", blobnet.Stats{BlobCount: 2, CurrentSize: 150})
	early, _ := Blob(3, 30)
	ok(all.Pin(t.Context(), a, a, early))
	check("pinned", blobnet.Stats{BlobCount: 2, CurrentSize: 150, Pinned: 1, PinnedSize: 100})
	put(t, s, 3, 30)
	check("pinned early", blobnet.Stats{BlobCount: 3, CurrentSize: 180, Pinned: 2, PinnedSize: 130})
	ok(all.Unpin(t.Context(), a, a))
	ok(all.Delete(t.Context(), a, b))
	check("deleted", blobnet.Stats{BlobCount: 1, CurrentSize: 30, Pinned: 1, PinnedSize: 30})
}

func testSync(t *testing.T, s blobnet.Store) {
	y := needs[blobnet.Syncer](t, s)
	for n := range 3 {
		for i := range 5 {
			put(t, s, n*5+i, 1000)
		}
		for range 2 {
			if err := y.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 15 {
		id, _ := Blob(n, 1000)
		wantBlob(t, s, id)
	}
}

func testEviction(t *testing.T, open Open) {
	s := needs[full](t, open(t, 10_000))
	var ids []blobnet.ID
	for n := range 10 {
		ids = append(ids, put(t, s, n, 1000))
	}
	wantBlob(t, s, ids[0])   // is a use
	put(t, s, 1, 1000)       // is one, too
	has(t, s, ids[2])        // is none
	put(t, s, 10, 1000)      // evicts one
	put(t, s, 11, 1000)      // and another
	for i, id := range ids { // those used longest ago: numbers 2 and 3
		if gone := i == 2 || i == 3; has(t, s, id) == gone {
			t.Errorf("blob number %d: stored is %v", i, gone)
		}
	}
	put(t, s, 12, 7500) // several at once
	st, err := s.Stats(t.Context())
	if err != nil || st.CurrentSize > 10_000 || st.BlobCount != 3 {
		t.Errorf("stats are %+v (%v), want 3 blobs within the quota", st, err)
	}
}

func testPinnedEviction(t *testing.T, open Open) {
	s := needs[full](t, open(t, 10_000))
	var ids []blobnet.ID
	for n := range 4 {
		ids = append(ids, put(t, s, n, 1000))
	}
	early, _ := Blob(4, 1000)
	if err := s.Pin(t.Context(), append(slices.Clone(ids), early)...); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, put(t, s, 4, 1000))
	for n := range 100 {
		put(t, s, 100+n, 1000)
	}
	for i, id := range ids {
		if !has(t, s, id) {
			t.Errorf("the pinned blob %d was evicted", i)
		}
	}
	if err := s.Unpin(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		put(t, s, 200+n, 1000)
	}
	if has(t, s, ids[0]) {
		t.Error("a blob is not evicted although its pin is gone")
	}
}

func testFull(t *testing.T, open Open) {
	s := needs[full](t, open(t, 10_000))
	kept := put(t, s, 1, 6000)
	other := put(t, s, 2, 3000)
	if err := s.Pin(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	for size, what := range map[int]string{10_001: "a blob over the quota", 4001: "a blob over what the pins leave"} {
		id, blob := Blob(3, size)
		wantErr(t, "Put of "+what, s.Put(t.Context(), id, blob), blobnet.ErrFull)
		if has(t, s, id) || !has(t, s, kept) || !has(t, s, other) {
			t.Errorf("Put of %s changed something", what)
		}
	}
	put(t, s, 4, 4000)
	if st, err := s.Stats(t.Context()); err != nil || st.CurrentSize != 10_000 || st.BlobCount != 2 {
		t.Errorf("stats are %+v (%v), want 2 blobs that fill the quota", st, err)
	}
}

func testConcurrentQuota(t *testing.T, open Open) {
	s := needs[full](t, open(t, 20_000))
	pinned := put(t, s, -1, 1000)
	if err := s.Pin(t.Context(), pinned); err != nil {
		t.Fatal(err)
	}
	t.Run("workers", func(t *testing.T) {
		for w := range 8 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for n := range 60 {
					id := put(t, s, w*30+n, 1000) // half of them are a neighbour's
					if _, err := s.Get(t.Context(), id, nil); err != nil && !errors.Is(err, blobnet.ErrNotFound) {
						t.Errorf("Get: %v", err)
					}
					switch n % 20 {
					case 7:
						if err := s.Delete(t.Context(), id); err != nil {
							t.Errorf("Delete: %v", err)
						}
					case 13:
						if st, err := s.Stats(t.Context()); err != nil || st.CurrentSize > 20_000 {
							t.Errorf("stats are %+v (%v), over the quota", st, err)
						}
					}
				}
			})
		}
	})
	if !has(t, s, pinned) {
		t.Error("the pinned blob is gone")
	}
	var count, size int64
	if err := s.List(t.Context(), func(info blobnet.Info) error {
		count, size = count+1, size+info.Size
		wantBlob(t, s, info.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.BlobCount != count || st.CurrentSize != size {
		t.Errorf("stats are %+v (%v), but List has %d blobs of %d bytes", st, err, count, size)
	}
}
