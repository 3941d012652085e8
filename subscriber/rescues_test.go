package subscriber

import (
	"testing"

	"github.com/anonymous-media-library/aml/codec"
)

func TestAPublishersCodingDoesNotDecideHowMuchMemoryARescueTakes(t *testing.T) {
	for data := codec.MinData; data <= codec.MaxData; data++ {
		for parity := 1; parity <= min(codec.MaxParity, 2*data); parity++ {
			n := rescuesOf(codec.Coding{Data: data, Parity: parity})
			if n < 1 || n > rescues || n*(data+parity)*codec.MaxChunkSize > rescueMemory {
				t.Errorf("%d at once of %d+%d", n, data, parity)
			}
		}
	}
	if n := rescuesOf(codec.Coding{Data: 10, Parity: 4}); n != rescues {
		t.Errorf("%d at once of 10+4", n)
	}
}
