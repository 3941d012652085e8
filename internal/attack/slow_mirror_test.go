package attack

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/network"
)

// drip sends one byte after the other, for as long as the other end bears it.
func drip(s network.Stream, data []byte) {
	for i := range data {
		if _, err := s.Write(data[i : i+1]); err != nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Mirrors that the reader meets first answer questions and send blobs a byte at
// a time, or not at all. It does not wait for them where an honest one is.
func TestSlowMirror(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "slow")
	pub := newParty(w, "publisher")
	files := map[string]string{"song": pattern(120_000, 1)}
	pub.release(ch, ch.Release(pub.ingest(files)))
	reader := newParty(w, "reader")
	var slow []*adversary
	for i := range 4 {
		a := newAdversary(w)
		a.answerSync(func(s network.Stream) {
			if i%2 == 0 {
				drip(s, make([]byte, 1<<20))
			}
		})
		a.answerBlobs(func(s network.Stream, request []byte) {
			if i%2 == 0 {
				drip(s, blobFrame(frameResponse, request[:4], []byte{0}, u32(0), u32(blobnet.MaxBlobSize), make([]byte, 60<<10)))
			}
		})
		reader.follow(ch, a.host)
		slow = append(slow, a)
	}
	t.Log("and more that say nothing than are asked at a time")
	for range 14 {
		a := newAdversary(w)
		a.answerSync(func(network.Stream) {})
		reader.follow(ch, a.host)
	}
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	out, err := reader.write(ch, channel.MemberKey{}, slow[0].host, slow[1].host, slow[2].host, slow[3].host, pub.host)
	w.must(err)
	w.wantFiles(out, files)
	reader.awaitFollower(ch, pub.id())
	pub.publish(ch, "new")
	reader.awaitAll(ch)
}
