package keyfile

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/secretfile"
)

// ErrElsewhere: a key lies with a plugin, and nobody is here who could ask it.
var ErrElsewhere = errors.New("the key lies with a plugin, which a node alone can ask")

// A key of a plugin is a PEM block with the public half and the plugin's name:
// no secret is in it, and yet who could change it could have others sign.
const (
	pluginType   = "AML PLUGIN KEY"
	pluginHeader = "Plugin"
	maxPlugin    = 32 // bytes of a plugin's id
)

// WriteOfPlugin writes to a new file that a plugin holds the key, as Write
// writes a key.
func WriteOfPlugin(path, plugin string, key channel.PublicKey) error {
	text, err := encodeOfPlugin(plugin, key)
	if err == nil {
		err = secretfile.Write(path, text)
	}
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	return nil
}

// Plugin returns which plugin holds the key of a file, "" if none does: it lies in
// the file itself. Its errors are Load's.
func Plugin(path string) (string, error) {
	text, err := secretfile.Read(path, maxSize)
	var plugin string
	if err == nil && isOfPlugin(text) {
		plugin, _, err = decodeOfPlugin(text)
	}
	if err != nil {
		return "", fmt.Errorf("reading key %s: %w", path, err)
	}
	return plugin, nil
}

func isOfPlugin(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN "+pluginType+"-----"))
}

func (k Keys) ofPlugin(text []byte) (channel.PrivateKey, error) {
	plugin, public, err := decodeOfPlugin(text)
	if err != nil {
		return channel.PrivateKey{}, err
	}
	return channel.KeyElsewhere(public, func(message []byte) ([]byte, error) {
		if k.Sign == nil {
			return nil, fmt.Errorf("%w: %s", ErrElsewhere, plugin)
		}
		return k.Sign(plugin, public, message)
	}), nil
}

func encodeOfPlugin(plugin string, key channel.PublicKey) ([]byte, error) {
	if plugin == "" || len(plugin) > maxPlugin || strings.Trim(plugin, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("%w: %.64q is no plugin's id", channel.ErrMalformed, plugin)
	}
	if err := key.Check(); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pluginType, Headers: map[string]string{pluginHeader: plugin}, Bytes: key[:]}), nil
}

// decodeOfPlugin reads what encodeOfPlugin writes and nothing else.
func decodeOfPlugin(text []byte) (plugin string, key channel.PublicKey, err error) {
	block, _ := pem.Decode(bytes.TrimSpace(text)) // a block begins with a line
	if block == nil || len(block.Bytes) != len(key) {
		return "", key, fmt.Errorf("%w: not a plugin's key; make the file with key-new --plugin", channel.ErrMalformed)
	}
	plugin, key = block.Headers[pluginHeader], channel.PublicKey(block.Bytes)
	again, err := encodeOfPlugin(plugin, key)
	if err == nil && !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(text)) {
		err = fmt.Errorf("%w: more than a plugin's key is in the file; make it anew with key-new --plugin", channel.ErrMalformed)
	}
	return plugin, key, err
}
