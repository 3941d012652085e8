package channel

import "errors"

// One sentinel per decision that a caller makes; test with errors.Is. Every
// error of this package that concerns foreign input wraps exactly one of them.
var (
	// ErrMalformed: not the encoding of anything this version knows, or a rule
	// of the structure is broken. Every honest node refuses it.
	ErrMalformed = errors.New("malformed")

	// ErrVersion: made by a version of aml that this one does not know. It may
	// be fine; update to read it.
	ErrVersion = errors.New("unknown version")

	// ErrTooLarge: more bytes than the format allows.
	ErrTooLarge = errors.New("too large")

	// ErrLimit: a field is longer, or a list has more items, than the format
	// allows.
	ErrLimit = errors.New("over the limit")

	// ErrName: a file name or topic that may not be used.
	ErrName = errors.New("invalid name")

	// ErrSignature: a signature does not verify, or the one that must be there
	// is missing.
	ErrSignature = errors.New("bad signature")

	// ErrNotAuthorized: rightly signed, by a key that may not sign this.
	ErrNotAuthorized = errors.New("not authorized")

	// ErrExpired: signed after the right to sign had ended.
	ErrExpired = errors.New("expired")

	// ErrReadKey: sealed under another read key than the one that was tried, or
	// to other members. It says nothing against anybody.
	ErrReadKey = errors.New("not under this read key")

	// ErrChain: well formed and signed, but for another place: another
	// channel, root version or predecessor.
	ErrChain = errors.New("does not fit the chain")
)
