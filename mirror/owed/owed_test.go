package owed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

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

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	when = time.UnixMilli(1_700_000_000_000)
	one  = Binding{"fs", Of{1}}
	two  = Binding{"fs", Of{2}}
	away = Binding{"s3", Of{1}}
)

func some(n int, here bool) (out []Counted) {
	for i := range n {
		out = append(out, Counted{int64(i/10) - 5, blobnet.Sum([]byte{byte(i), byte(i >> 8)}), here})
	}
	return out
}

func idsOf(list []Counted) (out []blobnet.ID) {
	for _, c := range list {
		out = append(out, c.ID)
	}
	return out
}

// counts compares how many blobs are there, owed, to be deleted, missing.
func counts(t *testing.T, l *Ledger, b Binding, only bool, want string) {
	t.Helper()
	var of *Of
	if only {
		of = &b.Of
	}
	c, err := l.Count(t.Context(), b.Plugin, of)
	check(t, err)
	if got := fmt.Sprintf("%d there, %d owed, %d to delete, %d missing", c.There, c.Put, c.Delete, c.Missing); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func due(t *testing.T, l *Ledger, b Binding, what Owes, now time.Time, want int) []blobnet.ID {
	t.Helper()
	list, err := l.Due(t.Context(), b.Plugin, what, now, nil, 1<<20)
	check(t, err)
	if len(list) != want {
		t.Errorf("%d are due, want %d", len(list), want)
	}
	var out []blobnet.ID
	for _, b := range list {
		out = append(out, b.ID)
	}
	return out
}

func TestWhatCountsIsOwedUntilItIsThereHoweverTheProcessEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "owed.db")
	l := open(t, path)
	ctx := t.Context()
	blobs := some(500, true)
	blobs[0].Here = false
	round, err := l.Round(ctx, one)
	check(t, err)
	check(t, l.Mark(ctx, one, round, when, blobs...))
	check(t, l.Mark(ctx, one, round, when, blobs...))
	check(t, l.Try(ctx, "fs", idsOf(blobs[1:400])...))
	check(t, l.There(ctx, "fs", idsOf(blobs[1:300])...))
	later := when.Add(time.Hour)
	check(t, l.Failed(ctx, "fs", Failure{blobs[300].ID, later, errors.New("no\nroom " + strings.Repeat("é", 1000))}))
	check(t, l.Close())

	l = open(t, path) // after any end
	defer l.Close()
	counts(t, l, one, false, "299 there, 200 owed, 0 to delete, 1 missing")
	counts(t, l, one, true, "299 there, 200 owed, 0 to delete, 1 missing")
	counts(t, l, away, false, "0 there, 0 owed, 0 to delete, 0 missing")
	due(t, l, one, Put, when, 199)
	due(t, l, one, Put, later, 200)
	c, err := l.Trouble(ctx, "fs")
	check(t, err)
	if c.Blobs != 1 || !c.Again.Equal(later) || len(c.Error) > maxError || !strings.HasPrefix(c.Error, "no room é") {
		t.Errorf("%+v", c)
	}
	if again, err := l.Round(ctx, one); err != nil || again <= round {
		t.Errorf("round %d after %d, %v", again, round, err)
	}
	check(t, l.Mark(ctx, one, round+1, later.Add(-time.Minute), blobs...)) // who waits goes on waiting
	due(t, l, one, Put, later.Add(-time.Second), 199)
	blobs[0].Here = true
	check(t, l.Mark(ctx, one, round+1, when, blobs[:1]...)) // it has come
	counts(t, l, one, false, "299 there, 201 owed, 0 to delete, 0 missing")
	check(t, l.Lacking(ctx, "fs", blobs[0].ID)) // and is gone
	check(t, l.Away(ctx, "fs", when, blobs[1].ID, blobs[2].ID))
	counts(t, l, one, false, "297 there, 202 owed, 0 to delete, 1 missing")
	check(t, l.Again(ctx, "fs", when))
	due(t, l, one, Put, when, 202)
	if has, err := l.Has(ctx, "fs", blobs[1].ID, blobs[3].ID); err != nil || has[0] || !has[1] {
		t.Errorf("has %v, %v", has, err)
	}
	held, err := l.Held(ctx, "fs", blobnet.ID{}, 100)
	check(t, err)
	rest, err := l.Held(ctx, "fs", held[99], 500)
	check(t, err)
	if len(held) != 100 || len(rest) != 197 {
		t.Errorf("it is said to have %d and %d", len(held), len(rest))
	}
}

func TestWhatCountsNoMoreIsToBeDeletedIfThePluginMayHaveItAndNobodyElseCountsIt(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "owed.db"))
	defer l.Close()
	ctx, blobs := t.Context(), some(700, true)
	for _, b := range []Binding{one, away} {
		round, err := l.Round(ctx, b)
		check(t, err)
		check(t, l.Mark(ctx, b, round, when, blobs...))
		check(t, l.There(ctx, b.Plugin, idsOf(blobs[:600])...))
	}
	check(t, l.Try(ctx, "fs", blobs[600].ID))                 // and was killed
	check(t, l.Mark(ctx, two, 1, when, blobs[0], blobs[601])) // two channels share blobs
	round, err := l.Round(ctx, one)
	check(t, err)
	check(t, l.Mark(ctx, one, round, when, blobs[1]))
	check(t, l.Keep(ctx, one, round, -4)) // it is not known what counts of blobs 10 to 19
	var told []int64
	for r := int64(-5); r < 55; r++ { // of blobs 600 to 699 nobody knows anything
		if r != -4 {
			told = append(told, r)
		}
	}
	if gone, err := l.Finish(ctx, one, round, 0, when); err != nil || gone != 0 { // as in a catalogue that was lost
		t.Errorf("%d are to be deleted, %v", gone, err)
	}
	gone, err := l.Drop(ctx, one, round, when, told...)
	check(t, err)
	if want := 600 - 12; gone != want {
		t.Errorf("%d are to be deleted, want %d", gone, want)
	}
	counts(t, l, one, false, fmt.Sprintf("12 there, 100 owed, %d to delete, 0 missing", gone))
	more, err := l.Finish(ctx, one, round, 1, when) // a root has withdrawn them
	check(t, err)
	if gone += more; more != 1 {
		t.Errorf("%d more are to be deleted", more)
	}
	counts(t, l, one, false, fmt.Sprintf("12 there, 1 owed, %d to delete, 0 missing", gone))
	counts(t, l, away, false, "600 there, 100 owed, 0 to delete, 0 missing")
	list := due(t, l, one, Delete, when, gone)
	if p, err := l.Deleting(ctx); err != nil || len(p) != 1 || p[0] != "fs" {
		t.Errorf("%v, %v", p, err)
	}
	check(t, l.There(ctx, "fs", list[0])) // said too late
	check(t, l.Deleted(ctx, "fs", list[1:]...))
	check(t, l.Deleted(ctx, "fs", blobs[1].ID)) // which counts
	counts(t, l, one, false, "12 there, 1 owed, 1 to delete, 0 missing")
	check(t, l.Mark(ctx, one, round, when, Counted{7, list[0], true})) // it counts again
	counts(t, l, one, false, "12 there, 2 owed, 0 to delete, 0 missing")
}

func TestTheEndOfABindingLeavesOrDeletesWhatOnlyThatCounted(t *testing.T) {
	t.Parallel()
	for _, stay := range []bool{true, false} {
		l := open(t, filepath.Join(t.TempDir(), "owed.db"))
		defer l.Close()
		ctx, blobs := t.Context(), some(100, true)
		check(t, l.Mark(ctx, one, 1, when, blobs...))
		check(t, l.Mark(ctx, two, 1, when, blobs[:10]...))
		check(t, l.There(ctx, "fs", idsOf(blobs[:50])...))
		gone, err := l.End(ctx, one, stay, when)
		check(t, err)
		want := "10 there, 0 owed, 40 to delete, 0 missing"
		if stay {
			want = "10 there, 0 owed, 0 to delete, 0 missing"
		}
		counts(t, l, one, false, want)
		if b, err := l.Bindings(ctx); err != nil || len(b) != 1 || b[0] != two || stay == (gone == 40) {
			t.Errorf("%v, %d gone, %v", b, gone, err)
		}
		if gone, err := l.End(ctx, one, stay, when); err != nil || gone != 0 {
			t.Errorf("a second time: %d, %v", gone, err)
		}
		check(t, l.Check(ctx, "fs", when))
		if c, err := l.Checked(ctx, "fs"); err != nil || !c.Equal(when) {
			t.Errorf("checked %v, %v", c, err)
		}
		check(t, l.Forget(ctx, "fs"))
		counts(t, l, one, false, "0 there, 0 owed, 0 to delete, 0 missing")
		if b, err := l.Bindings(ctx); err != nil || len(b) != 0 {
			t.Errorf("%v, %v", b, err)
		}
	}
}

func TestNextIsWhenSomethingCanBeDone(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "owed.db"))
	defer l.Close()
	ctx, blobs := t.Context(), some(3, true)
	next := func(want time.Time) {
		t.Helper()
		if got, err := l.Next(ctx, "fs"); err != nil || !got.Equal(want) {
			t.Errorf("next %v (%v), want %v", got, err, want)
		}
	}
	next(time.Time{})
	check(t, l.Mark(ctx, one, 1, when, Counted{1, blobs[2].ID, false}))
	next(time.Time{}) // nothing can be done about what is missing
	check(t, l.Mark(ctx, one, 1, when, blobs[:2]...))
	next(when)
	for _, b := range blobs[:2] {
		check(t, l.Failed(ctx, "fs", Failure{b.ID, when.Add(time.Minute), errors.New("x")}))
	}
	next(when.Add(time.Minute))
	check(t, l.There(ctx, "fs", blobs[0].ID))
	_, err := l.End(ctx, one, false, when.Add(time.Second))
	check(t, err)
	next(when.Add(time.Second))
	if list, err := l.Due(ctx, "fs", Put, when.Add(time.Hour), &one.Of, 10); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTheFileIsItsOwnersAloneAndAnotherIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "owed.db")
	check(t, open(t, path).Close())
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text := strings.Repeat("no database ", 100)
	path = filepath.Join(dir, "other.db")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	if l, err := Open(t.Context(), path); err == nil {
		l.Close()
		t.Error("it was opened")
	} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("it was changed, %v", err)
	}
}
