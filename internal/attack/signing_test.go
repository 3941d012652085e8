package attack

import (
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// signed signs a payload as it is, good or not, and returns the envelope.
func (w *world) signed(typ string, payload []byte, keys ...channel.PrivateKey) []byte {
	w.Helper()
	env, err := channel.Sign(typ, payload, keys...)
	return channeltest.Encode(w.T, env, err)
}

// encoded is a structure's payload.
func (w *world) encoded(v interface{ Encode() ([]byte, error) }) []byte {
	w.Helper()
	data, err := v.Encode()
	w.must(err)
	return data
}

// next is the manifest that would follow the channel's newest.
func next(ch *channeltest.Channel, body channel.Body) channel.Manifest {
	m := channel.Manifest{Format: 1, Channel: ch.ID, Root: ch.Root.Version, Log: ch.Key(), Seq: ch.Seq + 1,
		Issued: channel.TimeOf(ch.Now.Add(time.Second)), Body: &body}
	if ch.Seq > 0 {
		prev := ch.Hash
		m.Prev = &prev
	}
	return m
}

// headOf is a head for any manifest of a log.
func headOf(ch *channeltest.Channel, seq uint64, hash channel.Hash, issued time.Time) channel.Head {
	return channel.Head{Format: 1, Channel: ch.ID, Root: ch.Root.Version, Log: ch.Key(), Seq: seq, Hash: hash,
		Issued: channel.TimeOf(issued), Expires: channel.TimeOf(issued.Add(headLife))}
}

// evil is a body that nobody ought to see.
func evil() channel.Body {
	return channel.Body{Title: "evil", Entries: []channel.FileEntry{channeltest.Entry("evil", 1000)}}
}

// payloadOf is what an envelope carries.
func (w *world) payloadOf(envelope []byte) []byte {
	w.Helper()
	env, err := channel.DecodeEnvelope(envelope)
	w.must(err)
	return env.Payload
}
