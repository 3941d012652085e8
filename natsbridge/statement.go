package natsbridge

import (
	"crypto/sha256"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// MaxBundle is how many envelopes one message on in.<channel> may hold, as in
// gossip.
const MaxBundle = 8

// check says what every honest node says against data under its subject: that it
// is too large, no envelope, or none that belongs there. Who may sign it, and
// what it follows, only the ledger knows; also to what channel a root after the
// first belongs.
func (s subject) check(data []byte) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("message of %d bytes, at most %d are allowed: %w", len(data), MaxMessage, channel.ErrTooLarge)
	}
	if s.kind == kindFork {
		if s.hash != channel.Hash(sha256.Sum256(data)) {
			return fmt.Errorf("proof under another hash: %w", channel.ErrMalformed)
		}
		_, _, err := decodeFork(data)
		return err
	}
	if s.kind == kindSnapshot {
		b, err := decodeSnapshot(data)
		if err == nil && (b.snap.Channel != s.channel || b.snap.Log != s.log) {
			err = fmt.Errorf("snapshot under another one's subject: %w", channel.ErrMalformed)
		}
		return err
	}
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return err
	}
	var fits bool
	switch s.kind {
	case kindRoot:
		var r channel.Root
		r, err = channel.OpenRoot(env)
		fits = r.Version == s.seq && (r.Version > 1 || channel.IDOf(env.Payload) == s.channel)
	case kindManifest:
		var m channel.Manifest
		m, err = channel.OpenManifest(env)
		fits = m.Channel == s.channel && m.Log == s.log && m.Epoch == s.epoch && m.Seq == s.seq
	case kindHead:
		var h channel.Head
		h, err = channel.OpenHead(env)
		fits = h.Channel == s.channel && h.Log == s.log
	}
	if err == nil && !fits {
		err = fmt.Errorf("envelope under another one's subject: %w", channel.ErrMalformed)
	}
	return err
}

// encodeFork is a proof as it travels: an array of two byte strings.
func encodeFork(a, b []byte) ([]byte, error) {
	data, err := dcbor.Marshal([][]byte{a, b})
	if err == nil && len(data) > MaxMessage {
		err = fmt.Errorf("proof of %d bytes: %w", len(data), channel.ErrTooLarge)
	}
	return data, err
}

func decodeFork(data []byte) (a, b []byte, err error) {
	sides, err := decodeBundle(data)
	if err != nil {
		return nil, nil, err
	}
	if len(sides) != 2 {
		return nil, nil, fmt.Errorf("proof with %d sides: %w", len(sides), channel.ErrMalformed)
	}
	return sides[0], sides[1], nil
}

// decodeBundle reads an array of envelopes. They themselves are not looked at.
func decodeBundle(data []byte) ([][]byte, error) {
	var out [][]byte
	if err := dcbor.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("reading message: %w: %w", channel.ErrMalformed, err)
	}
	if len(out) == 0 || len(out) > MaxBundle {
		return nil, fmt.Errorf("message with %d envelopes: %w of 1 to %d", len(out), channel.ErrLimit, MaxBundle)
	}
	for _, e := range out {
		if len(e) == 0 {
			return nil, fmt.Errorf("message with an empty envelope: %w", channel.ErrMalformed)
		}
	}
	return out, nil
}

// decodeInput reads what may stand on in.<channel>: one envelope, or an array of
// them in an order in which they can be accepted. An envelope is a map, so that
// the first byte tells.
func decodeInput(data []byte) ([][]byte, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("message of %d bytes, at most %d are allowed: %w", len(data), MaxMessage, channel.ErrTooLarge)
	}
	if len(data) > 0 && data[0]>>5 == 4 {
		return decodeBundle(data)
	}
	return [][]byte{data}, nil
}
