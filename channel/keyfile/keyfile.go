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
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/anonymous-media-library/aml/channel"
)

// maxSize is far above any PEM file that holds one key, in bytes.
const maxSize = 16 << 10

// Load reads a private key from a PEM file. A file that others than its
// owner may read or write gives an error that wraps fs.ErrPermission and says
// what to do (on systems that have such permissions); a missing one wraps
// fs.ErrNotExist; one that holds no usable key wraps channel.ErrMalformed.
func Load(path string) (channel.PrivateKey, error) {
	info, err := os.Stat(path) // before opening, which would wait at a named pipe
	if err != nil {
		return channel.PrivateKey{}, fmt.Errorf("reading key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w: not a regular file", path, channel.ErrMalformed)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w: others than its owner may use it (mode %04o); run: chmod 600 %s",
			path, fs.ErrPermission, mode, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return channel.PrivateKey{}, fmt.Errorf("reading key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w", path, err)
	}
	if len(text) > maxSize {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w: over %d bytes", path, channel.ErrMalformed, maxSize)
	}
	key, err := channel.DecodeKeyPEM(text)
	if err != nil {
		return channel.PrivateKey{}, fmt.Errorf("reading key %s: %w", path, err)
	}
	return key, nil
}

// Write writes key to a new file that only its owner may use, and returns once
// it would survive a power loss. The file is there whole or not at all, however
// the process ends. A file that is there already is left alone: the error then
// wraps fs.ErrExist. On any other error no file stays.
func Write(path string, key channel.PrivateKey) (err error) {
	text, err := channel.EncodeKeyPEM(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".aml-key-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), path) // unlike a rename, it replaces nothing
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	return nil
}

// syncDir makes a new name in dir survive a power loss, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
