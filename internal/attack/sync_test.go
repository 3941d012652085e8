package attack

import (
	"encoding/binary"
	"io"
	"slices"

	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

func speaks(h host.Host, id protocol.ID) bool { return slices.Contains(h.Mux().Protocols(), id) }

// syncFrame is one frame of the sync protocol.
func syncFrame(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// answerSync has the adversary answer who asks it by sync, by hand. answer is
// called when a first request has come, and the stream stays open after it.
func (a *adversary) answerSync(answer func(s network.Stream)) {
	over := make(chan struct{})
	a.w.Cleanup(func() { close(over) })
	a.host.SetStreamHandler(gossip.SyncProtocol, func(s network.Stream) {
		defer s.Reset()
		var head [4]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > 4096 {
			return
		}
		if _, err := io.ReadFull(s, make([]byte, n)); err != nil {
			return
		}
		answer(s)
		<-over
	})
}
