package main

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/libp2p/go-libp2p/core/network"
)

// The structures of the sync protocol, as CHANNELS.md has them.
type (
	request struct {
		Kind uint64             `cbor:"1,keyasint"`
		Keys []channel.Hash     `cbor:"2,keyasint"`
		Log  *channel.PublicKey `cbor:"3,keyasint,omitempty"`
		From uint64             `cbor:"4,keyasint,omitempty"`
		To   uint64             `cbor:"5,keyasint,omitempty"`
	}
	answer struct {
		Sections []section `cbor:"1,keyasint"`
		More     bool      `cbor:"2,keyasint"`
	}
	section struct {
		Key   channel.Hash `cbor:"1,keyasint"`
		Root  uint64       `cbor:"2,keyasint,omitempty"`
		Logs  []logState   `cbor:"3,keyasint,omitempty"`
		Items [][]byte     `cbor:"4,keyasint,omitempty"`
	}
	logState struct {
		Log  channel.PublicKey `cbor:"1,keyasint"`
		Seq  uint64            `cbor:"2,keyasint"`
		Hash channel.Hash      `cbor:"3,keyasint"`
	}
)

const (
	askHeads     = 1
	askManifests = 3
)

// answer is an adversary's end of sync. All but liars say that they know
// nothing.
func (h *adversary) answer(s network.Stream) {
	defer s.Reset()
	for {
		_ = s.SetReadDeadline(time.Now().Add(2 * time.Minute))
		r, err := ask(s)
		if err != nil {
			return
		}
		var a answer
		if h.kind == liar {
			switch h.number / int(forker) % 4 {
			case 0: // claims much, and has nothing
				a = h.claim(r, 1000)
			case 1: // claims one more than there is, and gives another channel's
				if a = h.claim(r, 1); r.Kind == askManifests {
					a.Sections = []section{{Key: r.Keys[0], Items: h.wrong(r.Keys[0])}}
				}
			case 2: // takes the question and never answers
				_, _ = s.Read(make([]byte, 1)) // until the other end gives up
				return
			case 3: // claims, and answers with what nobody can read
				if a = h.claim(r, 1); r.Kind != askHeads {
					_, _ = s.Write([]byte{0, 0, 0, 3, 0xff, 0xff, 0xff})
					return
				}
			}
		}
		if tell(s, a) != nil {
			return
		}
	}
}

// claim says of every channel that was asked for that its log is longer than it
// is.
func (h *adversary) claim(r request, more uint64) (a answer) {
	if r.Kind != askHeads {
		return a
	}
	for _, key := range r.Keys {
		for _, author := range h.follow {
			if author.ID.Discovery() == key {
				seq := h.w.watch.newest(author) + more
				hash := channel.Hash(sha256.Sum256(binary.BigEndian.AppendUint64(key[:], seq)))
				a.Sections = append(a.Sections, section{Key: key, Root: 1, Logs: []logState{{author.Key(), seq, hash}}})
			}
		}
	}
	return a
}

// wrong is an envelope of another room than the key's.
func (h *adversary) wrong(key channel.Hash) [][]byte {
	for _, a := range h.w.authors {
		if a.ID.Discovery() != key {
			return [][]byte{a.Envelope}
		}
	}
	return nil
}

func ask(r io.Reader) (request, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return request{}, err
	}
	data := make([]byte, min(binary.BigEndian.Uint32(head[:]), 4096))
	if _, err := io.ReadFull(r, data); err != nil {
		return request{}, err
	}
	var req request
	return req, dcbor.Unmarshal(data, &req)
}

func tell(w io.Writer, a answer) error {
	data, err := dcbor.Marshal(a)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}
