package channel

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// PrivateKey signs. It never shows itself: every verb of fmt, slog and JSON
// give a placeholder or an error. The zero value signs nothing.
type PrivateKey struct {
	// A pointer to a pointer: fmt prints an address at most, also where a
	// PrivateKey is an unexported field of something that is printed and its
	// methods cannot be called.
	key **secret
}

// secret has one of ed and elsewhere.
type secret struct {
	ed        ed25519.PrivateKey
	public    PublicKey
	elsewhere func(message []byte) ([]byte, error)
}

// GenerateKey makes a new key from the system's randomness.
func GenerateKey() (PrivateKey, error) {
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("making a key: %w", err)
	}
	return wrapKey(ed), nil
}

// PrivateKeyFromSeed makes the key of an RFC 8032 seed: for tests, vectors and
// keys that are derived elsewhere.
func PrivateKeyFromSeed(seed [ed25519.SeedSize]byte) PrivateKey {
	return wrapKey(ed25519.NewKeyFromSeed(seed[:]))
}

// KeyElsewhere is a key that lies in other hands, such as a hardware token's.
// sign is given what is to be signed, which it must not change, and returns the
// Ed25519 signature (RFC 8032), which is verified; it bounds its own time, and is
// called by as many goroutines as sign with the key.
func KeyElsewhere(public PublicKey, sign func(message []byte) ([]byte, error)) PrivateKey {
	s := &secret{public: public, elsewhere: sign}
	return PrivateKey{&s}
}

func wrapKey(ed ed25519.PrivateKey) PrivateKey {
	s := &secret{ed: ed, public: PublicKey(ed.Public().(ed25519.PublicKey))}
	return PrivateKey{&s}
}

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.key == nil }

// Public returns the public half, the zero PublicKey for the zero value.
func (k PrivateKey) Public() PublicKey {
	if k.key == nil {
		return PublicKey{}
	}
	return (*k.key).public
}

// sign is not exported: a key of a channel signs envelopes and nothing else.
func (k PrivateKey) sign(message []byte) ([]byte, error) {
	s := *k.key
	if s.elsewhere == nil {
		return ed25519.Sign(s.ed, message), nil
	}
	sig, err := s.elsewhere(message)
	if err == nil && (len(sig) != ed25519.SignatureSize || !ed25519.Verify(s.public[:], message, sig)) {
		err = fmt.Errorf("%w: what holds key %s has signed something else", ErrSignature, s.public.Short())
	}
	return sig, err
}

const hiddenKey = "private key (hidden)"

// String hides the key.
func (PrivateKey) String() string { return hiddenKey }

// Format hides the key from every verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenKey) }

// LogValue hides the key from slog.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// MarshalText refuses: no encoder that works by itself gets the key.
func (PrivateKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a private key is written by EncodeKeyPEM alone")
}

// MarshalBinary refuses, as MarshalText does.
func (k PrivateKey) MarshalBinary() ([]byte, error) { return k.MarshalText() }

const pemType = "PRIVATE KEY"

// EncodeKeyPEM returns the key as PKCS#8 in PEM, the form that openssl and most
// others read. The result is a secret.
func EncodeKeyPEM(key PrivateKey) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("encoding a private key: there is none")
	}
	if (*key.key).elsewhere != nil {
		return nil, errors.New("encoding a private key: it lies in other hands")
	}
	der, err := x509.MarshalPKCS8PrivateKey((*key.key).ed)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// DecodeKeyPEM reads what EncodeKeyPEM writes: exactly one block, an Ed25519
// key. What is something else is named in the error, which wraps ErrMalformed
// and never repeats the input.
func DecodeKeyPEM(text []byte) (PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return PrivateKey{}, fmt.Errorf("%w: not a PEM file; want -----BEGIN %s----- (PKCS#8, Ed25519)", ErrMalformed, pemType)
	}
	switch block.Type {
	case pemType:
	case "ENCRYPTED PRIVATE KEY":
		return PrivateKey{}, fmt.Errorf("%w: the key is encrypted; decrypt it first: openssl pkcs8 -in KEY -out PLAIN", ErrMalformed)
	case "OPENSSH PRIVATE KEY":
		return PrivateKey{}, fmt.Errorf("%w: an OpenSSH key; want PKCS#8: openssl genpkey -algorithm ed25519", ErrMalformed)
	case "PUBLIC KEY":
		return PrivateKey{}, fmt.Errorf("%w: a public key; the private one is needed to sign", ErrMalformed)
	case memberPEM:
		return PrivateKey{}, fmt.Errorf("%w: a member key, which reads private channels and signs nothing", ErrMalformed)
	default:
		return PrivateKey{}, fmt.Errorf("%w: a PEM block %q; want %q", ErrMalformed, clip(block.Type), pemType)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return PrivateKey{}, fmt.Errorf("%w: something follows the key in its file", ErrMalformed)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN ")) || len(block.Headers) > 0 {
		return PrivateKey{}, fmt.Errorf("%w: something besides the key is in its file", ErrMalformed)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: the PEM block holds no PKCS#8 key", ErrMalformed)
	}
	ed, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, fmt.Errorf("%w: a key of type %T; want Ed25519", ErrMalformed, parsed)
	}
	// x509 reads over what else is in the block, another public key included.
	if der, err := x509.MarshalPKCS8PrivateKey(ed); err != nil || !bytes.Equal(der, block.Bytes) {
		return PrivateKey{}, fmt.Errorf("%w: more than the key is in its PEM block; write it anew: openssl pkey -in KEY -out PLAIN", ErrMalformed)
	}
	return wrapKey(ed), nil
}
