package attack

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/libp2p/go-libp2p/core/network"
)

// falseStore says that it has every blob, and gives what it likes.
type falseStore struct {
	give func(blobnet.ID) []byte
}

func (s falseStore) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return append(dst, s.give(id)...), nil
}

func (falseStore) Put(context.Context, blobnet.ID, []byte) error { return blobnet.ErrFull }

func (falseStore) Has(_ context.Context, ids ...blobnet.ID) ([]bool, error) {
	all := make([]bool, len(ids))
	for i := range all {
		all[i] = true
	}
	return all, nil
}

// serveBlobs has the adversary speak the exchange as everybody does, over a
// store that lies.
func (a *adversary) serveBlobs(give func(blobnet.ID) []byte) {
	a.w.Helper()
	x, err := exchange.New(exchange.Config{Host: a.host, Store: falseStore{give}})
	a.w.must(err)
	ended := make(chan error, 1)
	go func() { ended <- x.Run(context.Background()) }()
	a.w.Cleanup(func() {
		_ = x.Close()
		<-ended
	})
	for !speaks(a.host, exchange.Protocol) {
		<-time.After(time.Millisecond)
	}
}

// Frames of docs/exchange.md.
const (
	frameHandshakeAck = 1
	frameRequest      = 2
	frameResponse     = 3
	frameWant         = 5
	frameHas          = 10
)

func blobFrame(typ byte, body ...[]byte) []byte {
	out := []byte{0, 0, 0, 0, typ}
	for _, b := range body {
		out = append(out, b...)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// u32 is a number in four bytes, big endian.
func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// answerBlobs has the adversary answer requests for blobs by hand: it says that
// it has everything, and leaves to answer what it then sends. answer runs once
// for each stream, and the stream stays open after it.
func (a *adversary) answerBlobs(answer func(s network.Stream, request []byte)) {
	over := make(chan struct{})
	a.w.Cleanup(func() { close(over) })
	a.host.SetStreamHandler(exchange.Protocol, func(s network.Stream) {
		defer s.Reset()
		_, _ = s.Write(blobFrame(frameHandshakeAck, []byte{1}, u32(1), []byte{0, 16}))
		for {
			var head [5]byte
			if _, err := io.ReadFull(s, head[:]); err != nil {
				return
			}
			n := binary.BigEndian.Uint32(head[:])
			if n == 0 || n > 1<<20 {
				return
			}
			body := make([]byte, n-1)
			if _, err := io.ReadFull(s, body); err != nil {
				return
			}
			switch head[4] {
			case frameWant:
				bits := make([]byte, ((len(body)-4)/32+7)/8)
				for i := range (len(body) - 4) / 32 {
					bits[i/8] |= 0x80 >> (i % 8)
				}
				_, _ = s.Write(blobFrame(frameHas, body[:4], bits))
			case frameRequest:
				answer(s, body)
				<-over
				return
			}
		}
	})
}
