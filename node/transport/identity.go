package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
)

var (
	// ErrIdentityCorrupt: the identity file holds no usable key. Restore it,
	// or move it away to become a new node.
	ErrIdentityCorrupt = errors.New("not an Ed25519 private key in PEM (PKCS #8)")

	// ErrIdentityExposed: others than the owner can read the identity file.
	ErrIdentityExposed = errors.New("other users of this machine can read the key")
)

const (
	identityPEM     = "PRIVATE KEY" // the PKCS #8 label of RFC 7468
	maxIdentityFile = 4 << 10       // bytes; a key takes 119
)

// LoadOrCreateIdentity reads the node's Ed25519 key from path, or makes one
// and writes it there, mode 0600, with directories mode 0700 as needed. The
// file appears whole or not at all, and of two processes that create it at
// once both get the key that stays. A file that is there is never overwritten:
// one that cannot be used gives ErrIdentityCorrupt or ErrIdentityExposed with
// the remedy.
func LoadOrCreateIdentity(path string) (crypto.PrivKey, error) {
	key, err := loadIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createIdentity(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("creating identity %s: %w", path, err)
	}
	return loadIdentity(path)
}

// loadIdentity reads and checks; a missing file gives fs.ErrNotExist.
func loadIdentity(path string) (crypto.PrivKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading identity: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading identity: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading identity %s: it is not a regular file: %w", path, ErrIdentityCorrupt)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("reading identity %s: mode %#o: %w; run: chmod 600 %s (or move it away to become a new node)", path, mode, ErrIdentityExposed, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading identity %s: %w", path, err)
	}
	key, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("reading identity %s: %w; restore it from a backup, or move it away to become a new node", path, err)
	}
	return key, nil
}

func parseIdentity(data []byte) (crypto.PrivKey, error) {
	if len(data) > maxIdentityFile {
		return nil, ErrIdentityCorrupt
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != identityPEM {
		return nil, ErrIdentityCorrupt
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, ErrIdentityCorrupt // without the cause: it could quote the key
	}
	ed, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, ErrIdentityCorrupt
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed)
	if err != nil {
		return nil, ErrIdentityCorrupt
	}
	return key, nil
}

// createIdentity writes a fresh key; a file that appeared meanwhile gives
// fs.ErrExist and is left alone.
func createIdentity(path string) (err error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".identity-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(f.Name()))) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: identityPEM, Bytes: der}))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Link fails if path exists, where Rename would replace it.
	if err = os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, statErr := os.Lstat(path); statErr == nil {
			return fs.ErrExist
		}
		if err = os.Rename(f.Name(), path); err != nil { // a file system without links
			return err
		}
	}
	return syncDir(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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
