package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// bePlugin makes the test binary the plugin of testdata/script/plugins.txt: it
// denies what is called bad, and writes its setting into the rest. With an argument it is
// that of signer.txt.
func bePlugin(args []string) {
	if len(args) > 0 && args[0] == "reader" {
		sdk.Serve(sdk.Plugin{ID: "reader", Version: "1.0.0", ScanContent: func(_ context.Context, _ *sdk.ScanStart, r io.Reader) (*sdk.Verdict, error) {
			_, err := io.Copy(io.Discard, r)
			return sdk.Allow(), err
		}})
		return
	}
	if len(args) > 0 {
		beSigner()
		return
	}
	var note string
	sdk.Serve(sdk.Plugin{
		ID: "gate", Version: "1.0.0",
		Configure: func(_ context.Context, s sdk.Setup) error {
			note = s.Config["note"]
			return nil
		},
		BeforePublish: func(_ context.Context, _ string, d *sdk.Draft) error {
			if strings.HasPrefix(d.Title, "bad") {
				return sdk.Denied("bad is not published")
			}
			d.Description = note
			return nil
		},
	})
}

// writePlugin puts the test binary into a folder, under the name that its
// plugin.yaml has for it.
func writePlugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plugin DIR")
	}
	self, err := os.Executable()
	ts.Check(err)
	path := filepath.Join(ts.MkAbs(args[0]), "plugin")
	if os.Link(self, path) != nil {
		data, err := os.ReadFile(self)
		ts.Check(err)
		ts.Check(os.WriteFile(path, data, 0o700))
	}
}

// tokens are the keys of the plugin of testdata/script/signer.txt.
type tokens struct{ forges bool }

func beSigner() {
	var t tokens
	sdk.Serve(sdk.Plugin{
		ID: "token", Version: "1.0.0",
		Configure: func(_ context.Context, s sdk.Setup) error {
			t.forges = s.Config["forges"] != ""
			return nil
		},
		Signer: &t,
	})
}

func tokenKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func (*tokens) PublicKeys(context.Context) ([][]byte, error) {
	return [][]byte{tokenKey(1).Public().(ed25519.PublicKey), tokenKey(2).Public().(ed25519.PublicKey)}, nil
}

func (t *tokens) Sign(_ context.Context, key, message []byte) ([]byte, error) {
	for n := range byte(2) {
		if k := tokenKey(n + 1); bytes.Equal(key, k.Public().(ed25519.PublicKey)) {
			if t.forges {
				message = []byte("something else")
			}
			return ed25519.Sign(k, message), nil
		}
	}
	return nil, errors.New("no such key")
}
