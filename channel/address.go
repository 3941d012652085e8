package channel

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// ReadKey opens the bodies of a private channel. It is a secret, and hides
// itself as PrivateKey does: nothing but Address.StringWithReadKey prints it.
// The zero value is no key.
type ReadKey struct {
	key **[ReadKeySize]byte // see PrivateKey
}

// ReadKeySize is the length of a read key in bytes.
const ReadKeySize = 32

// ReadKeyFrom returns the read key of these bytes.
func ReadKeyFrom(key [ReadKeySize]byte) ReadKey {
	p := &key
	return ReadKey{&p}
}

// IsZero reports whether there is no key.
func (k ReadKey) IsZero() bool { return k.key == nil }

// Bytes returns the key, zeros if there is none: a secret that hides itself no
// longer.
func (k ReadKey) Bytes() [ReadKeySize]byte {
	if k.key == nil {
		return [ReadKeySize]byte{}
	}
	return **k.key
}

// Equal reports whether both are the same key, or both none. Keys must not be
// compared by ==.
func (k ReadKey) Equal(other ReadKey) bool {
	a, b := k.Bytes(), other.Bytes()
	return k.IsZero() == other.IsZero() && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

const hiddenReadKey = "read key (hidden)"

// String hides the key.
func (ReadKey) String() string { return hiddenReadKey }

// Format hides the key from every verb.
func (ReadKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenReadKey) }

// LogValue hides the key from slog.
func (ReadKey) LogValue() slog.Value { return slog.StringValue(hiddenReadKey) }

// MarshalText hides the key from JSON.
func (ReadKey) MarshalText() ([]byte, error) { return []byte(hiddenReadKey), nil }

// Address says where a channel, or a file or folder in it, is, and how to read
// it when it is private:
//
//	aml://<channel id>[/<path>][#<read key>]
//
// The id and the key are 52 characters of lower-case base32; the path is a
// name of the channel, percent-encoded as RFC 3986 has it.
type Address struct {
	ID      ID
	Path    string  // a valid name; "" for the whole channel
	ReadKey ReadKey // zero in a public channel
}

const addressScheme = "aml://"

// ParseAddress reads an address. Space around it is forgiven, nothing else is:
// one channel has one spelling. Errors wrap ErrMalformed, or ErrName for a
// path that is no name; none repeats what stands after "#".
func ParseAddress(s string) (Address, error) {
	a, err := parseAddress(strings.TrimSpace(s))
	if err != nil {
		return Address{}, fmt.Errorf("reading address: %w", err)
	}
	return a, nil
}

func parseAddress(s string) (Address, error) {
	var a Address
	if len(s) > MaxAddress {
		return a, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(s), MaxAddress)
	}
	rest, ok := strings.CutPrefix(s, addressScheme)
	if !ok {
		return a, fmt.Errorf("%w: it does not begin with %s", ErrMalformed, addressScheme)
	}
	rest, key, hasKey := strings.Cut(rest, "#")
	host, path, hasPath := strings.Cut(rest, "/")
	if strings.ContainsAny(rest, "?") {
		return a, fmt.Errorf("%w: it has a question mark; an address takes no query", ErrMalformed)
	}
	if err := unbase32(a.ID[:], host, "channel id"); err != nil {
		return a, err
	}
	if a.ID.IsZero() {
		return a, fmt.Errorf("%w: the channel id is all zero", ErrMalformed)
	}
	if hasPath {
		name, err := unescapePath(path)
		if err != nil {
			return a, err
		}
		if err := ValidName(name); err != nil {
			return a, fmt.Errorf("path: %w", err)
		}
		a.Path = name
	}
	if hasKey {
		var raw [ReadKeySize]byte
		if err := unbase32(raw[:], key, "read key"); err != nil {
			return Address{}, err
		}
		a.ReadKey = ReadKeyFrom(raw)
	}
	return a, nil
}

// String returns the address without its read key: what may be logged, shown
// and told to others. A reader of a private channel needs StringWithReadKey.
func (a Address) String() string {
	s := addressScheme + a.ID.String()
	if a.Path != "" {
		s += "/" + escapePath(a.Path)
	}
	return s
}

// StringWithReadKey returns the whole address, a secret if the channel is
// private. ParseAddress reads it back.
func (a Address) StringWithReadKey() string {
	if a.ReadKey.IsZero() {
		return a.String()
	}
	key := a.ReadKey.Bytes()
	return a.String() + "#" + idEncoding.EncodeToString(key[:])
}

// Format is String for every verb, so that no read key gets into a log.
func (a Address) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// MarshalText returns what String does. There is no UnmarshalText: an address
// that has lost its key must not look like one that was stored.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// escapePath percent-encodes every byte but the unreserved ones of RFC 3986 and
// the slash, with upper-case digits.
func escapePath(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; unreserved(c) || c == '/' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unescapePath undoes escapePath. Characters that need no escape to be told
// apart may stand as they are, so that people can type paths; an escaped slash
// is refused, since names have no other slashes than separators.
func unescapePath(path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", fmt.Errorf("%w: the path is not valid UTF-8", ErrMalformed)
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", fmt.Errorf("%w: the path ends within a percent escape", ErrMalformed)
		}
		hi, ok1 := hexDigit(path[i+1])
		lo, ok2 := hexDigit(path[i+2])
		if !ok1 || !ok2 {
			return "", fmt.Errorf("%w: %q in the path is no percent escape", ErrMalformed, path[i:i+3])
		}
		if c := hi<<4 | lo; c != '/' {
			b.WriteByte(c)
		} else {
			return "", fmt.Errorf("%w: the path has an escaped slash", ErrMalformed)
		}
		i += 2
	}
	return b.String(), nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
