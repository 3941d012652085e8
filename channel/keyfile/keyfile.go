// Package keyfile keeps a channel's private keys in files that only their owner
// may use: the mode of a key's file is part of what makes it a key. What is in
// the file is channel's business, but where the key itself lies with a plugin and
// the file says so.
//
// It must never print a key, change one that is there, or read from anything
// but a regular file.
package keyfile

import (
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/secretfile"
)

// maxSize is far above any PEM file that holds one key, in bytes.
const maxSize = 16 << 10

// Keys reads private keys. The zero value is ready, and so is every copy.
type Keys struct {
	// Sign has a plugin sign with a key that it holds, see WriteOfPlugin. If nil,
	// such a key is known and signs nothing: the error wraps ErrElsewhere. It may be
	// called by many goroutines at once.
	Sign func(plugin string, key channel.PublicKey, message []byte) ([]byte, error)
}

// Load is Keys{}.Load.
func Load(path string) (channel.PrivateKey, error) { return Keys{}.Load(path) }

// Load reads a private key from a PEM file, or who holds it. A file that others than its owner
// may read or write gives an error that wraps fs.ErrPermission and says what to
// do (on systems that have such permissions); a missing one wraps
// fs.ErrNotExist; one that holds no usable key wraps channel.ErrMalformed.
func (k Keys) Load(path string) (channel.PrivateKey, error) {
	text, err := secretfile.Read(path, maxSize)
	if errors.Is(err, secretfile.ErrUnusable) {
		err = fmt.Errorf("%w: %w", channel.ErrMalformed, err)
	}
	var key channel.PrivateKey
	switch {
	case err != nil:
	case isOfPlugin(text):
		key, err = k.ofPlugin(text)
	default:
		key, err = channel.DecodeKeyPEM(text)
	}
	if err != nil {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w", path, err)
	}
	return key, nil
}

// Write writes key to a new file that only its owner may use, and returns once
// it would survive a power loss. The file is there whole or not at all, however
// the process ends. A file that is there already is left alone: the error then
// wraps fs.ErrExist. On any other error no file stays.
func Write(path string, key channel.PrivateKey) error {
	text, err := channel.EncodeKeyPEM(key)
	if err == nil {
		err = secretfile.Write(path, text)
	}
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	return nil
}
