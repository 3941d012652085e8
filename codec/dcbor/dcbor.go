// Package dcbor is the one CBOR dialect of aml: RFC 8949 core deterministic
// encoding (section 4.2.1), less whatever a signed or hashed structure has no
// use for. Any value has exactly one encoding, and bytes that are not that
// encoding are refused, so that two nodes never read one signature in two ways.
//
// Allowed are unsigned and negative integers, byte strings, UTF-8 text
// strings, arrays, maps, true and false. Integers and lengths take their
// shortest form, lengths are definite, map keys ascend strictly by their
// encoded bytes. Tags, floats, null, undefined and other simple values do not
// occur.
//
// It is for every format in this module. It must never do I/O, know a format,
// keep a reference to its input, or accept something that Marshal would not
// write.
package dcbor

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits, the same for writing and for reading. All are checked before
// anything is allocated.
const (
	MaxDepth    = 8     // arrays and maps inside each other, the outermost counted
	MaxElements = 8_192 // elements of one array, or pairs of one map
)

var (
	// ErrMalformed: the bytes are no CBOR, use something outside the dialect,
	// exceed a limit, or do not fit the type that they were to be read into.
	ErrMalformed = errors.New("malformed CBOR")

	// ErrNotCanonical: the bytes say something that the dialect can say, but
	// not in the one allowed way: a long integer, an indefinite length,
	// unsorted or repeated keys, a field that is missing, or one that is there
	// though empty.
	ErrNotCanonical = errors.New("CBOR is not in its canonical form")
)

// Both modes are immutable and safe for concurrent use.
var (
	encoder = must(encOptions().EncMode())
	decoder = must(decOptions().DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic("dcbor: " + err.Error()) // the options below are constants
	}
	return mode
}

func encOptions() cbor.EncOptions {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // a nil slice and an empty one are one value
	o.TagsMd = cbor.TagsForbidden
	o.BinaryMarshaler = cbor.BinaryMarshalerNone // nothing but the struct's own tags decides
	return o
}

func decOptions() cbor.DecOptions {
	return cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		BinaryUnmarshaler: cbor.BinaryUnmarshalerNone,
		MaxNestedLevels:   2 * MaxDepth, // check is stricter and runs first
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
	}
}

// Marshal returns the one encoding of v. Struct fields want the tag
// `cbor:"N,keyasint"`, with ",omitempty" where absence is the encoding of the
// zero value. A value outside the dialect (a float, a nil pointer that is not
// omitted, text that is not UTF-8, too deep, too many elements) gives an error
// that wraps ErrMalformed.
func Marshal(v any) ([]byte, error) {
	data, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w: %w", v, ErrMalformed, err)
	}
	if err := check(data); err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return data, nil
}

// Unmarshal reads data, all of it, into v, a pointer to a zero value. It
// succeeds only if Marshal(v) then gives data again. The error wraps
// ErrMalformed or ErrNotCanonical, after which *v means nothing. What v
// receives are copies: data may be reused. The caller bounds len(data); memory
// beyond that is a small multiple of it.
func Unmarshal(data []byte, v any) error {
	if err := check(data); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	if err := decoder.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %T: %w: %w", v, ErrMalformed, err)
	}
	again, err := encoder.Marshal(v)
	if err != nil {
		return fmt.Errorf("decoding %T: encoding it again: %w: %w", v, ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("decoding %T: %w: encoding it again gives other bytes", v, ErrNotCanonical)
	}
	return nil
}

// Len returns the length of the item that data begins with, of whatever type,
// after the checks that need no type: for an item that padding follows.
func Len(data []byte) (int, error) { return item(data, 0, 0) }
