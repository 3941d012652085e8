package exchange

import (
	"errors"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// asked is what Have says of n blobs where the peer answers by has.
func asked(t *testing.T, n int, has []byte) ([]bool, error) {
	p, _ := hostileServer(t, Config{Streams: 1}, func(r *raw, f frame) {
		r.send(frame{typ: typeHas, req: f.req, has: has})
		r.ended()
	})
	return p.Have(t.Context(), make([]blobnet.ID, n))
}

func TestHasSaysByPositionWhatIsThere(t *testing.T) {
	got, err := asked(t, 10, []byte{0b1000_0001, 0b0100_0000})
	if want := []bool{true, false, false, false, false, false, false, true, false, true}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestHasThatDoesNotFitTheWantBreaksTheProtocol(t *testing.T) {
	for _, has := range [][]byte{{0xff}, {0xff, 0x80, 0}, {0, 0x20}, {0, 1}} {
		if got, err := asked(t, 10, has); !errors.Is(err, ErrProtocol) {
			t.Errorf("%x: got %v, %v", has, got, err)
		}
	}
}
