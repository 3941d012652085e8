package fetch

import (
	"context"
	"fmt"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// instant gives any blob at once.
type instant struct {
	name string
	blob []byte
}

func (p instant) Name() string { return p.name }

func (p instant) Get(_ context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
	return append(dst, p.blob...), nil
}

// BenchmarkEachOfSmall is what the scheduling of one blob of 16 KiB costs, of
// eight peers that need no time.
func BenchmarkEachOfSmall(b *testing.B) {
	s := newSwarm(b, Config{})
	for i := range 8 {
		s.Add(instant{fmt.Sprint("p", i), make([]byte, 16<<10)})
	}
	items := func(yield func(Want, error) bool) {
		for i := range b.N {
			w := Want{ID: blobnet.ID{byte(i), byte(i >> 8), byte(i >> 16)}, Size: 16 << 10, Class: blobnet.Foreground}
			if !yield(w, nil) {
				return
			}
		}
	}
	b.ResetTimer()
	if err := Each(b.Context(), s, items, func(w Want) Want { return w }, func(Want, []byte, bool) error { return nil }); err != nil {
		b.Fatal(err)
	}
}
