package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/anonymous-media-library/aml/internal/secretfile"
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
	data, err := secretfile.Read(path, maxIdentityFile)
	switch {
	case errors.Is(err, secretfile.ErrUnusable):
		err = fmt.Errorf("%w: %w", ErrIdentityCorrupt, err)
	case errors.Is(err, secretfile.ErrExposed):
		return nil, fmt.Errorf("reading identity %s: %w: %w (or move it away to become a new node)", path, ErrIdentityExposed, err)
	case err != nil:
		return nil, fmt.Errorf("reading identity: %w", err)
	}
	var key crypto.PrivKey
	if err == nil {
		key, err = parseIdentity(data)
	}
	if err != nil {
		return nil, fmt.Errorf("reading identity %s: %w; restore it from a backup, or move it away to become a new node", path, err)
	}
	return key, nil
}

func parseIdentity(data []byte) (crypto.PrivKey, error) {
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
func createIdentity(path string) error {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return secretfile.Write(path, pem.EncodeToMemory(&pem.Block{Type: identityPEM, Bytes: der}))
}
