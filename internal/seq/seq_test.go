package seq

import (
	"errors"
	"fmt"
	"iter"
	"testing"
)

// count yields 0 to n-1, then err if it is not nil.
func count(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestBatchesAreFullButTheLast(t *testing.T) {
	var got string
	for group, err := range Batches(count(7, nil), 3) {
		got += fmt.Sprint(group, err)
	}
	if want := "[0 1 2] <nil>[3 4 5] <nil>[6] <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnErrorEndsTheBatches(t *testing.T) {
	broken := errors.New("broken")
	var got string
	for group, err := range Batches(count(4, broken), 3) {
		got += fmt.Sprint(group, err)
	}
	if want := "[0 1 2] <nil>[] broken"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLeavingEarlyStopsTheSource(t *testing.T) {
	for group := range Batches(count(1<<40, nil), 2) {
		if len(group) != 2 {
			t.Errorf("got %v", group)
		}
		break
	}
}
