package httpmirror

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// BenchmarkGet gets sealed chunks over loopback, 8 at a time.
func BenchmarkGet(b *testing.B) {
	blob := randomBlob(1<<20+64, 1)
	url := start(b, ServerConfig{HandlerConfig: HandlerConfig{Store: newStore(blob)}})
	p := peerOf(b, PeerConfig{URL: url})
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
