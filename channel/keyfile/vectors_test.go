package keyfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
)

var update = flag.Bool("update", false, "write testdata/vectors; review the diff: released formats never change")

const vectorFile = "testdata/vectors/keyfiles.json"

// keyFileVector is a file of a plugin's key. It is read as Plugin and Public, or gives Error.
type keyFileVector struct {
	Name   string             `json:"name"`
	Text   string             `json:"text"`
	Plugin string             `json:"plugin,omitempty"`
	Public *channel.PublicKey `json:"public,omitempty"`
	Error  string             `json:"error,omitempty"`
}

func makeVectors(t *testing.T) map[string][]keyFileVector {
	t.Helper()
	public := tokenPublic()
	var out []keyFileVector
	good := func(name, plugin, before, after string) string {
		text, err := encodeOfPlugin(plugin, public)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, keyFileVector{Name: name, Text: before + string(text) + after, Plugin: plugin, Public: &public})
		return string(text)
	}
	text := good("a plugin's key", "token", "", "")
	good("an id of one character", "0", "", "")
	good("an id of 32", "hyphens-and-0123456789-are-in-it", "", "")
	good("white space around it", "token", "\n \t", "\r\n \n")
	body := base64.StdEncoding.EncodeToString(public[:])
	bad := func(name, text string) {
		out = append(out, keyFileVector{Name: name, Text: text, Error: "ErrMalformed"})
	}
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in it", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	bad("cut off", text[:60])
	bad("no header", swap("Plugin: token\n\n", ""))
	bad("an empty id", swap("token", ""))
	bad("an id of 33", swap("token", strings.Repeat("t", 33)))
	bad("an id in upper case", swap("token", "Token"))
	bad("an id that is a path", swap("token", "../token"))
	bad("an id with an underscore", swap("token", "to_ken"))
	bad("another header name", swap("Plugin:", "plugin:"))
	bad("one more header", swap("Plugin:", "Also: x\nPlugin:"))
	bad("the header twice", swap("Plugin: token\n", "Plugin: token\nPlugin: token\n"))
	bad("no blank line behind the header", swap("token\n\n", "token\n"))
	bad("two spaces in the header", swap("Plugin: ", "Plugin:  "))
	bad("no space in the header", swap("Plugin: ", "Plugin:"))
	bad("white space behind the header", swap("token\n", "token \n"))
	bad("lines that end as on Windows", strings.ReplaceAll(text, "\n", "\r\n"))
	bad("base64 in two lines", swap(body, body[:20]+"\n"+body[20:]))
	bad("base64 without its padding", swap(body, strings.TrimRight(body, "=")))
	bad("base64 with bits that say nothing", swap(body, body[:42]+string(body[42]+1)+"="))
	bad("a key of 31 bytes", swap(body, base64.StdEncoding.EncodeToString(public[:31])))
	bad("a key of 33 bytes", swap(body, base64.StdEncoding.EncodeToString(append(public[:], 0))))
	bad("a key of small order", swap(body, strings.Repeat("A", 43)+"="))
	bad("text before it", "mine\n"+text)
	bad("text after it", text+"x")
	bad("two keys", text+text)
	return map[string][]keyFileVector{"plugin": out}
}

func TestVectorsAreWhatThisCodeMakes(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("testdata/vectors", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, buf.Bytes()) {
		t.Errorf("%s is not what this code makes: the format has changed, or run with -update after adding vectors", vectorFile)
	}
	var vectors map[string][]keyFileVector
	if err := json.Unmarshal(committed, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors["plugin"] {
		plugin, public, err := "", channel.PublicKey{}, channel.ErrMalformed
		if isOfPlugin([]byte(v.Text)) {
			plugin, public, err = decodeOfPlugin([]byte(v.Text))
		}
		switch {
		case v.Error != "":
			if !errors.Is(err, channel.ErrMalformed) {
				t.Errorf("%s: %q, %s, %v", v.Name, plugin, public, err)
			}
		case err != nil || plugin != v.Plugin || public != *v.Public:
			t.Errorf("%s: %q, %s, %v", v.Name, plugin, public, err)
		}
	}
}
