package wsbridge

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// BenchmarkGet gets sealed chunks over loopback, 16 at a time.
func BenchmarkGet(b *testing.B) {
	blob := randomBlob(1<<20+64, 1)
	s, _ := start(b, Config{Store: newStore(blob)})
	p, _ := peerOf(b, "ws://"+s.Addr().String(), PeerConfig{})
	id := blobnet.Sum(blob)
	b.SetBytes(int64(len(blob)))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		var buf []byte
		for pb.Next() {
			var err error
			if buf, err = p.Get(b.Context(), id, buf[:0]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
