package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
)

func tokenKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func tokenPublic() channel.PublicKey {
	return channel.PublicKey(tokenKey().Public().(ed25519.PublicKey))
}

func TestAPluginSignsWithTheKeyThatItHolds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token.pem")
	if err := WriteOfPlugin(file, "token", tokenPublic()); err != nil {
		t.Fatal(err)
	}
	if err := WriteOfPlugin(file, "token", tokenPublic()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	if plugin, err := Plugin(file); plugin != "token" || err != nil {
		t.Errorf("held by %q, %v", plugin, err)
	}
	asked := ""
	key, err := Keys{Sign: func(plugin string, key channel.PublicKey, message []byte) ([]byte, error) {
		asked = plugin
		if key != tokenPublic() {
			t.Errorf("asked for key %s", key)
		}
		return ed25519.Sign(tokenKey(), message), nil
	}}.Load(file)
	if err != nil || key.Public() != tokenPublic() {
		t.Fatalf("%v, %v", key.Public(), err)
	}
	env, err := channel.Sign(channel.TypeHead, []byte{0xa0}, key)
	if err != nil || env.Verify() != nil || asked != "token" {
		t.Errorf("%v %v, asked %q", err, env.Verify(), asked)
	}
	if _, err := channel.EncodeKeyPEM(key); err == nil {
		t.Error("its private half can be written")
	}
	alone, err := Load(file)
	if err != nil || alone.Public() != tokenPublic() {
		t.Fatal(err)
	}
	if _, err := channel.Sign(channel.TypeHead, []byte{0xa0}, alone); !errors.Is(err, ErrElsewhere) {
		t.Errorf("signed without a plugin: %v", err)
	}
}

func TestASignatureThatDoesNotVerifyIsNone(t *testing.T) {
	for name, sig := range map[string][]byte{"none": nil, "of something else": ed25519.Sign(tokenKey(), []byte("x")), "short": {1}} {
		key := channel.KeyElsewhere(tokenPublic(), func([]byte) ([]byte, error) { return sig, nil })
		if env, err := channel.Sign(channel.TypeHead, []byte{0xa0}, key); !errors.Is(err, channel.ErrSignature) {
			t.Errorf("%s: %v, %v", name, env, err)
		}
	}
}

func TestWhatIsNoPluginsKeyIsRefused(t *testing.T) {
	good, err := encodeOfPlugin("token", tokenPublic())
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string { return strings.Replace(string(good), old, new, 1) }
	for name, text := range map[string]string{
		"cut off":           string(good[:60]),
		"no plugin":         swap("Plugin: token\n", ""),
		"a path":            swap("token", "../token"),
		"a long name":       swap("token", strings.Repeat("t", 33)),
		"one more header":   swap("Plugin:", "Also: x\nPlugin:"),
		"another block":     string(good) + string(good),
		"a short key":       "-----BEGIN AML PLUGIN KEY-----\nPlugin: token\n\nAAAA\n-----END AML PLUGIN KEY-----\n",
		"an unsound key":    "-----BEGIN AML PLUGIN KEY-----\nPlugin: token\n\n" + strings.Repeat("A", 43) + "=\n-----END AML PLUGIN KEY-----\n",
		"text after itself": string(good) + "x",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if key, err := Load(file); !errors.Is(err, channel.ErrMalformed) {
				t.Errorf("%v, %v", key.Public(), err)
			}
		})
	}
}

func FuzzKeyOfPlugin(f *testing.F) {
	good, _ := encodeOfPlugin("token", tokenPublic())
	f.Add(good)
	f.Add([]byte("-----BEGIN AML PLUGIN KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		plugin, key, err := decodeOfPlugin(text)
		if err != nil {
			return
		}
		if again, err := encodeOfPlugin(plugin, key); err != nil || !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(text)) {
			t.Errorf("%q is read and written as %q, %v", text, again, err)
		}
	})
}
