package gossip

import (
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// EncodeBundle makes one gossip message of 1 to MaxBundle envelopes, which
// together must not exceed MaxMessage. Errors wrap channel.ErrLimit or
// channel.ErrTooLarge.
func EncodeBundle(envelopes ...[]byte) ([]byte, error) {
	if len(envelopes) == 0 || len(envelopes) > MaxBundle {
		return nil, fmt.Errorf("gossip message with %d envelopes: %w of 1 to %d", len(envelopes), channel.ErrLimit, MaxBundle)
	}
	data, err := dcbor.Marshal(envelopes)
	if err != nil {
		return nil, fmt.Errorf("encoding gossip message: %w", err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("gossip message of %d bytes, at most %d are allowed: %w", len(data), MaxMessage, channel.ErrTooLarge)
	}
	return data, nil
}

// DecodeBundle reads what EncodeBundle writes, and nothing else. The envelopes
// themselves are not looked at. Errors wrap channel.ErrMalformed,
// channel.ErrLimit or channel.ErrTooLarge; every honest node gives the same.
func DecodeBundle(data []byte) ([][]byte, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("gossip message of %d bytes, at most %d are allowed: %w", len(data), MaxMessage, channel.ErrTooLarge)
	}
	var envelopes [][]byte
	if err := dcbor.Unmarshal(data, &envelopes); err != nil {
		return nil, fmt.Errorf("reading gossip message: %w: %w", channel.ErrMalformed, err)
	}
	if len(envelopes) == 0 || len(envelopes) > MaxBundle {
		return nil, fmt.Errorf("gossip message with %d envelopes: %w of 1 to %d", len(envelopes), channel.ErrLimit, MaxBundle)
	}
	for _, e := range envelopes {
		if len(e) == 0 {
			return nil, fmt.Errorf("gossip message with an empty envelope: %w", channel.ErrMalformed)
		}
	}
	return envelopes, nil
}

// pack splits envelopes, in their order, into as few gossip messages as
// possible. What is too large for any message is left out: those who hear the
// rest learn from it that something is missing, and sync.
func pack(envelopes [][]byte) ([][]byte, error) {
	const most = MaxMessage - 64 // for the array's and the byte strings' heads
	var messages [][]byte
	var open [][]byte
	size := 0
	flush := func() error {
		if len(open) == 0 {
			return nil
		}
		m, err := EncodeBundle(open...)
		messages, open, size = append(messages, m), nil, 0
		return err
	}
	for _, e := range envelopes {
		if len(e) > most {
			continue
		}
		if len(open) == MaxBundle || size+len(e) > most {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		open, size = append(open, e), size+len(e)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return messages, nil
}
