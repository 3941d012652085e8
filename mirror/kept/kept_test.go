package kept

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestWhatARoundDoesNotMarkIsOlderAndIsForgottenOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mirror.db")
	l := open(t, path)
	ctx, a, b := t.Context(), Of{1}, Of{2}
	var ids []blobnet.ID
	for i := range 1500 { // more than one query takes
		ids = append(ids, blobnet.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := l.New(ctx, a, append(ids, ids...)...)
	check(err)
	if !slices.Equal(fresh, ids) {
		t.Fatalf("%d of %d are new", len(fresh), len(ids))
	}
	check(l.Mark(ctx, a, 1, ids...))
	check(l.Mark(ctx, b, 1, ids[0]))
	check(l.Close())

	l = open(t, path) // after any end
	defer l.Close()
	if round, err := l.Round(ctx, a); err != nil || round != 1 {
		t.Errorf("round %d, %v", round, err)
	}
	if fresh, err := l.New(ctx, a, ids...); err != nil || len(fresh) != 0 {
		t.Errorf("%d are new, %v", len(fresh), err)
	}
	check(l.Mark(ctx, a, 2, ids[:1400]...))
	check(l.Mark(ctx, a, 1, ids[0])) // a round never goes back
	old, err := l.Older(ctx, a, 2, 1000)
	check(err)
	if len(old) != 100 || slices.Contains(old, ids[0]) {
		t.Errorf("%d are older", len(old))
	}
	check(l.Drop(ctx, a, old...))
	if old, err := l.Older(ctx, a, 2, 1000); err != nil || len(old) != 0 {
		t.Errorf("%d are older still, %v", len(old), err)
	}
	if old, err := l.Older(ctx, b, 2, 1000); err != nil || len(old) != 1 {
		t.Errorf("of the other channel %d are older, %v", len(old), err)
	}
	if of, err := l.Channels(ctx); err != nil || !slices.Equal(of, []Of{a, b}) {
		t.Errorf("channels %v, %v", of, err)
	}
}

func TestAFileThatIsNotOursIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mirror.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(t.Context(), path); err == nil {
		l.Close()
		t.Error("it was opened")
	} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
}

func TestOnlyWhatARoundHasNotMarkedIsBehindIt(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "mirror.db"))
	defer l.Close()
	a, b, c := blobnet.ID{1}, blobnet.ID{2}, blobnet.ID{3}
	if err := l.Mark(t.Context(), Of{1}, 4, a); err != nil {
		t.Fatal(err)
	}
	if err := l.Mark(t.Context(), Of{1}, 5, b); err != nil {
		t.Fatal(err)
	}
	for round, older := range map[int64][]blobnet.ID{4: nil, 5: {a}, 6: {a, b}} {
		fresh, old, err := l.Behind(t.Context(), Of{1}, round, a, c, b, c, a)
		if err != nil || !slices.Equal(fresh, []blobnet.ID{c}) || !slices.Equal(old, older) {
			t.Errorf("round %d: new are %v, older are %v, %v", round, fresh, old, err)
		}
	}
}
