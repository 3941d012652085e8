package channel

import (
	"fmt"

	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// encode returns v's one encoding.
func encode(what string, v any) ([]byte, error) {
	data, err := dcbor.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", what, err)
	}
	return data, nil
}

// decode reads v's one encoding.
func decode(what string, data []byte, v any) error {
	if err := dcbor.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %s: %w: %w", what, ErrMalformed, err)
	}
	return nil
}

// decodePayload reads a payload of at most limit bytes whose field 1 is the
// format version 1. The version is looked at before anything else, so that a
// later format is told from a broken one.
func decodePayload(what string, data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("decoding %s: %w: %d bytes, at most %d are allowed", what, ErrTooLarge, len(data), limit)
	}
	if otherFormat(data) {
		return fmt.Errorf("decoding %s: %w: its format is not 1", what, ErrVersion)
	}
	return decode(what, data, v)
}

// otherFormat reports whether data begins as a map whose field 1, which stands
// first in the deterministic encoding, is an unsigned integer other than 1.
func otherFormat(data []byte) bool {
	at := 1
	switch {
	case len(data) > 0 && data[0] > 0xa0 && data[0] <= 0xb7: // a map of 1 to 23 pairs
	case len(data) > 1 && data[0] == 0xb8: // a map of up to 255
		at = 2
	default:
		return false
	}
	return len(data) >= at+2 && data[at] == 1 && data[at+1] < 0x1c && data[at+1] != 1
}

func checkFormat(format uint64) error {
	if format != 1 {
		return fmt.Errorf("%w: format %d", ErrVersion, format)
	}
	return nil
}

// encodePayload returns v's one encoding, of at most limit bytes.
func encodePayload(what string, v any, limit int) ([]byte, error) {
	data, err := encode(what, v)
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, fmt.Errorf("encoding %s: %w: %d bytes, at most %d are allowed", what, ErrTooLarge, len(data), limit)
	}
	return data, nil
}

func signPayload(typ string, payload func() ([]byte, error), keys []PrivateKey) (Envelope, error) {
	data, err := payload()
	if err != nil {
		return Envelope{}, err
	}
	return Sign(typ, data, keys...)
}
