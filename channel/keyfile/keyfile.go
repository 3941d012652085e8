// Package keyfile keeps a channel's private keys in files that only their owner
// may use: the mode of a key's file is part of what makes it a key. What is in
// the file is channel's business.
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

// Load reads a private key from a PEM file. A file that others than its owner
// may read or write gives an error that wraps fs.ErrPermission and says what to
// do (on systems that have such permissions); a missing one wraps
// fs.ErrNotExist; one that holds no usable key wraps channel.ErrMalformed.
func Load(path string) (channel.PrivateKey, error) {
	text, err := secretfile.Read(path, maxSize)
	if errors.Is(err, secretfile.ErrUnusable) {
		err = fmt.Errorf("%w: %w", channel.ErrMalformed, err)
	}
	var key channel.PrivateKey
	if err == nil {
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
