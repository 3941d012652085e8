package main

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// meshProtocol is gossipsub in our own network (CHANNELS.md).
const meshProtocol protocol.ID = "/aml/meshsub/1.2.0"

// meter counts what a node hands to the network, lost or not, over all its
// runs.
type meter struct {
	rpcs, rpcBytes      atomic.Int64 // of gossipsub
	messages, dataBytes atomic.Int64 // of these what was published or passed on
	writes, syncBytes   atomic.Int64 // of the sync protocol
	lost                atomic.Int64 // of the RPCs
}

func (m *meter) sent(proto protocol.ID, data []byte, lost bool) {
	if proto != meshProtocol {
		if proto == gossip.SyncProtocol {
			m.writes.Add(1)
			m.syncBytes.Add(int64(len(data)))
		}
		return
	}
	m.rpcs.Add(1)
	m.rpcBytes.Add(int64(len(data)))
	if lost {
		m.lost.Add(1)
	}
	n, size := published(data)
	m.messages.Add(int64(n))
	m.dataBytes.Add(int64(size))
}

// published counts the messages in an RPC as it is on the wire, and their
// bytes: field 2 of the protobuf after its length.
func published(rpc []byte) (n, size int) {
	_, k := binary.Uvarint(rpc)
	for rpc = rpc[max(k, 0):]; len(rpc) > 0; {
		tag, k := binary.Uvarint(rpc)
		if k <= 0 || tag&7 != 2 {
			return n, size
		}
		length, j := binary.Uvarint(rpc[k:])
		if j <= 0 || length > uint64(len(rpc)-k-j) {
			return n, size
		}
		if tag>>3 == 2 {
			n, size = n+1, size+int(length)
		}
		rpc = rpc[k+j+int(length):]
	}
	return n, size
}
