// Command soft-token is an example of a plugin that signs: it makes an Ed25519
// key when it is first started, keeps it in its own folder, and lets it go
// nowhere. One for a hardware token or a key service asks that instead.
//
//	CGO_ENABLED=0 go build -o plugins/examples/soft-token/plugin ./plugins/examples/soft-token
//	aml plugin-install ./plugins/examples/soft-token --grant publish --enable
//	aml key-new token --plugin soft-token
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func main() {
	t := &token{}
	sdk.Serve(sdk.Plugin{ID: "soft-token", Version: "1.0.0", Configure: t.open, Signer: t})
}

// token is one key. It is set once, before it is used.
type token struct{ key ed25519.PrivateKey }

// open reads the key, or makes it. A key that cannot be read is not replaced.
func (t *token) open(_ context.Context, s sdk.Setup) error {
	file := filepath.Join(s.State, "key")
	seed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		seed, err = makeSeed(file)
	}
	if err == nil && len(seed) != ed25519.SeedSize {
		err = fmt.Errorf("%s is not a key", file)
	}
	if err != nil {
		return err
	}
	t.key = ed25519.NewKeyFromSeed(seed)
	return nil
}

// makeSeed leaves a whole seed in the file, or none.
func makeSeed(file string) ([]byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(key.Seed())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return key.Seed(), os.Rename(file+".new", file)
}

func (t *token) public() []byte { return t.key.Public().(ed25519.PublicKey) }

// PublicKeys tells the public half.
func (t *token) PublicKeys(context.Context) ([][]byte, error) { return [][]byte{t.public()}, nil }

// Sign signs an envelope of aml, which begins so, and nothing else.
func (t *token) Sign(_ context.Context, key, message []byte) ([]byte, error) {
	if !bytes.Equal(key, t.public()) {
		return nil, errors.New("another key is asked for")
	}
	if !bytes.HasPrefix(message, []byte("DSSEv1 ")) {
		return nil, errors.New("not an envelope")
	}
	return ed25519.Sign(t.key, message), nil
}
