package channel

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Encode returns the payload: the one encoding of h, after Validate.
func (h Head) Encode() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("encoding head: %w", err)
	}
	return encodePayload("head", h, MaxHead)
}

// Sign encodes h and signs it with the log's key or with a head key of the
// root.
func (h Head) Sign(key PrivateKey) (Envelope, error) {
	return signPayload(TypeHead, h.Encode, []PrivateKey{key})
}

// DecodeHead reads what Encode writes and nothing else.
func DecodeHead(payload []byte) (Head, error) {
	var h Head
	if err := decodePayload("head", payload, MaxHead, &h); err != nil {
		return Head{}, err
	}
	if err := h.Validate(); err != nil {
		return Head{}, fmt.Errorf("decoding head: %w", err)
	}
	return h, nil
}

// FreshAt reports whether the head says something about the instant now,
// which the caller takes from its clock.
func (h Head) FreshAt(now time.Time) bool { return now.Before(h.Expires.Time()) }

// Validate checks every rule that a head must keep by itself; VerifyHead
// checks it against its root, channel/feed against its log.
func (h Head) Validate() error {
	if err := checkFormat(h.Format); err != nil {
		return err
	}
	if err := checkPlace(h.Channel, h.Root, h.Log); err != nil {
		return err
	}
	if h.Seq == 0 {
		return fmt.Errorf("%w: sequence number 0; there is no head before the first manifest", ErrChain)
	}
	if h.Hash.IsZero() {
		return fmt.Errorf("%w: head names no manifest", ErrMalformed)
	}
	if err := h.Issued.check("time of issue"); err != nil {
		return err
	}
	if err := h.Expires.check("expiry"); err != nil {
		return err
	}
	if h.Expires <= h.Issued {
		return fmt.Errorf("%w: head expires %s, not after its issue %s", ErrMalformed, h.Expires, h.Issued)
	}
	if h.Expires-h.Issued > Time(MaxHeadLife/time.Second) {
		return fmt.Errorf("%w: head lives %d s, at most %d are allowed", ErrLimit, h.Expires-h.Issued, MaxHeadLife/time.Second)
	}
	return checkMirrors(h.Mirrors)
}

func checkMirrors(mirrors []string) error {
	if len(mirrors) > MaxMirrors {
		return fmt.Errorf("%w: %d mirrors, at most %d are allowed", ErrLimit, len(mirrors), MaxMirrors)
	}
	for i, m := range mirrors {
		if err := ValidMirror(m); err != nil {
			return err
		}
		if slices.Contains(mirrors[:i], m) {
			return fmt.Errorf("%w: mirror %q twice", ErrMalformed, clip(m))
		}
	}
	return nil
}

// ValidMirror reports why m may not stand among a head's mirrors, nil if it
// may: 1 to MaxMirror bytes of printable ASCII without space, quotes, angle
// brackets and backslash, that look like a multiaddr (a slash before each of
// two or more components, none empty) or like an http or https URL (a host, no
// user, no fragment). Whether anything answers there is not known.
func ValidMirror(m string) error {
	if len(m) > MaxMirror {
		return fmt.Errorf("%w: mirror of %d bytes, at most %d are allowed", ErrLimit, len(m), MaxMirror)
	}
	for i := range len(m) {
		if c := m[i]; c <= ' ' || c > '~' || strings.IndexByte("\"'<>\\^`{|}", c) >= 0 {
			return fmt.Errorf("%w: mirror %q has the byte %#02x", ErrMalformed, clip(m), c)
		}
	}
	if rest, ok := strings.CutPrefix(m, "/"); ok {
		parts := strings.Split(rest, "/")
		if len(parts) < 2 || slices.Contains(parts, "") {
			return fmt.Errorf("%w: mirror %q is no multiaddr like /ip4/192.0.2.1/tcp/4001", ErrMalformed, clip(m))
		}
		return nil
	}
	rest, ok := strings.CutPrefix(m, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(m, "http://")
	}
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	if !ok || host == "" || host[0] == ':' || strings.ContainsAny(host, "@#") || strings.Contains(rest, "#") {
		return fmt.Errorf("%w: mirror %q is neither a multiaddr nor an http URL", ErrMalformed, clip(m))
	}
	return nil
}
