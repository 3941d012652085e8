package tracker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// messages returns, for each key, what asks a peer to store that this node has
// it, as it goes over the wire.
func (t *table) messages(keys []Key) ([][]byte, error) {
	addrs := t.dht.FilteredAddrs()
	if len(addrs) == 0 {
		return nil, errors.New("no address to announce")
	}
	self := pb.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: t.host.ID(), Addrs: addrs}})
	out := make([][]byte, len(keys))
	for i, k := range keys {
		m := pb.NewMessage(pb.Message_ADD_PROVIDER, k.multihash(), 0)
		m.ProviderPeers = self
		text, err := proto.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encoding a record: %w", err)
		}
		out[i] = append(binary.AppendUvarint(nil, uint64(len(text))), text...)
	}
	return out, nil
}

// tell sends messages to a peer, and waits until it has taken all of them: it
// closes the stream then, and resets it if it does not like one.
//
// kad-dht's own sender is not used here, as it has one stream to each peer that
// everything waits for, and no deadline on writing: a peer that does not read
// would hold up announcing for ever.
func (t *table) tell(ctx context.Context, p peer.ID, messages [][]byte, indexes []int) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := func() (network.Stream, error) {
		ctx, cancel := context.WithTimeout(ctx, t.tellTime)
		defer cancel()
		return t.host.NewStream(ctx, p, t.protocol)
	}()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	// Not a deadline of the stream: some know none.
	stalled := time.AfterFunc(t.tellTime, func() { _ = s.Reset() })
	defer stalled.Stop()
	defer func() {
		if err != nil {
			_ = s.Reset()
		}
	}()
	w := bufio.NewWriterSize(s, 8<<10)
	for n, i := range indexes {
		if n%32 == 0 { // half of what w holds
			stalled.Reset(t.tellTime)
		}
		if _, err := w.Write(messages[i]); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	stalled.Reset(t.tellTime)
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("storing %d records: %w", len(indexes), errors.Join(err, errNotTaken))
	}
	return s.Close()
}

// errNotTaken: a peer did not take a record.
var errNotTaken = errors.New("the peer did not take all of them")
