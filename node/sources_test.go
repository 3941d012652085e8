package node

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFetchLooksForOthersSoonAgainAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		var looked []time.Duration
		begun := time.Now()
		every(ctx, findPauses, func() { looked = append(looked, time.Since(begun)) })
		if want := []time.Duration{0, 1e9, 3e9, 7e9, 22e9, 37e9}; !slices.Equal(looked, want) {
			t.Errorf("looked after %v, want %v", looked, want)
		}
	})
}
