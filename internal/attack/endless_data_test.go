package attack

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"
)

// pour writes data again and again until the other end has had enough, or a
// gigabyte has gone out, and returns how much that was.
func pour(s network.Stream, data []byte) int {
	n := 0
	for n < 1<<30 {
		_ = s.SetWriteDeadline(time.Now().Add(waitLimit))
		k, err := s.Write(data)
		if n += k; err != nil {
			break
		}
	}
	return n
}

// An adversary answers every question with data that does not end: in sync, for
// a blob, in gossip. Each time the victim cuts it off soon.
func TestEndlessData(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "flooded")
	pub := newParty(w, "publisher")
	files := map[string]string{"song": pattern(120_000, 1)}
	pub.release(ch, ch.Release(pub.ingest(files)))
	// What may be under way besides: windows of yamux, buffers of two kernels.
	const room4 = 32 << 20

	t.Log("in sync: empty frames of which each says that another follows; a frame of 4 GiB; a long answer that is none")
	reader := newParty(w, "reader")
	took := make(chan int, 3)
	for what, data := range map[string][]byte{
		"frames": syncFrame([]byte{0xa2, 0x01, 0x80, 0x02, 0xf5}), // {1: [], 2: true}
		"4 GiB":  append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 64<<10)...),
		"zeros":  append(binary.BigEndian.AppendUint32(nil, 1<<20), make([]byte, 1<<20)...),
	} {
		a := newAdversary(w)
		a.answerSync(func(s network.Stream) { took <- pour(s, data) })
		reader.follow(ch, a.host)
		if n := <-took; n > room4 {
			t.Errorf("%s: %d bytes were taken", what, n)
		}
		reader.awaitCaught(a.id())
	}

	t.Log("in gossip: a packet of a gigabyte")
	a := newAdversary(w)
	a.meet(reader)
	a.raw(reader, binary.AppendUvarint(nil, 1<<30))
	a.mu.Lock()
	s := a.streams[reader.id()]
	a.mu.Unlock()
	if n := pour(s, make([]byte, 64<<10)); n > room4 {
		t.Errorf("%d bytes of one packet were taken", n)
	}
	big := newAdversary(w)
	big.meet(reader)
	big.fence(reader, ch)
	big.rpc(reader, &pb.RPC{Publish: []*pb.Message{{Topic: proto.String(room(ch)), Data: make([]byte, gossip.MaxMessage+1)}}})
	reader.awaitCaught(big.id())

	t.Log("and for a blob: more than there can be in one")
	hose := newAdversary(w)
	hose.answerBlobs(func(s network.Stream, request []byte) {
		frame := blobFrame(frameResponse, request[:4], []byte{0}, u32(0), u32(blobnet.MaxBlobSize), make([]byte, 60<<10))
		took <- pour(s, frame)
	})
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	out, err := reader.write(ch, channel.MemberKey{}, hose.host, pub.host)
	w.must(err)
	w.wantFiles(out, files)
	if n := <-took; n > room4 {
		t.Errorf("%d bytes of one blob were taken", n)
	}

	reader.awaitFollower(ch, pub.id())
	pub.publish(ch, "new")
	reader.awaitAll(ch)
}
