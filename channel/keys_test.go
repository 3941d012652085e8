package channel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// leaks reports whether text shows the secret in any form that fmt, slog or an
// encoder would give it.
func leaks(text string, secret []byte) bool {
	part := secret[:8]
	forms := []string{
		hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
		base64.StdEncoding.EncodeToString(secret)[:8], base64.StdEncoding.EncodeToString(part)[:8],
		idEncoding.EncodeToString(secret)[:8],
		string(part), fmt.Sprintf("%q", part)[1:10],
	}
	for _, format := range []string{"%d", "%o", "%b", "%#x", "%#v", "%U", "%c"} {
		var list []string
		for _, b := range part {
			list = append(list, fmt.Sprintf(format, b))
		}
		forms = append(forms, strings.Join(list, " "), strings.Join(list, ", "), strings.Join(list, ","))
	}
	for _, form := range forms {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// TestSecretsAreHiddenFromEveryVerbAndLogger prints secrets in every way, also
// as an unexported field, where fmt cannot call methods.
func TestSecretsAreHiddenFromEveryVerbAndLogger(t *testing.T) {
	seed := testSeed("publisher1")
	private := testKey("publisher1")
	read := ReadKeyFrom(seed)
	address := Address{ID: testID(), Path: "a", ReadKey: read}
	type holder struct {
		Key     PrivateKey
		private PrivateKey
		Address Address
		address Address
	}
	values := []any{
		private, &private, []PrivateKey{private}, map[string]PrivateKey{"k": private},
		read, &read, []ReadKey{read}, address, &address, []Address{address},
		holder{private, private, address, address}, &holder{private, private, address, address},
	}
	for _, v := range values {
		for _, verb := range "vsqxXdobcOtUpeEfFgGwT" {
			for _, flags := range []string{"", "+", "#", "+#", "0", " ", "-20", "20.5"} {
				text := fmt.Sprintf("%"+flags+string(verb), v)
				if leaks(text, seed[:]) {
					t.Fatalf("%%%s%c of %T leaks: %s", flags, verb, v, text)
				}
			}
		}
		var buf bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			slog.New(h).Info("message", "value", v, slog.Group("g", "value", v))
		}
		text, _ := json.Marshal(v)
		buf.Write(text)
		if leaks(buf.String(), seed[:]) {
			t.Errorf("a logger or encoder leaks %T: %s", v, buf.String())
		}
	}
	if !leaks(hex.EncodeToString(seed[:]), seed[:]) || !leaks(fmt.Sprint(seed), seed[:]) || !leaks(address.StringWithReadKey(), seed[:]) {
		t.Error("the test would not notice a leak")
	}
}

// TestKeyOfRFC8410IsRead reads the example of RFC 8410 section 10.3, so that
// keys of openssl and others are ours.
func TestKeyOfRFC8410IsRead(t *testing.T) {
	const text = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`
	key := must(DecodeKeyPEM([]byte(text)))(t)
	if got := key.Public().String(); got != "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1" {
		t.Errorf("public key is %s", got)
	}
	if got := must(EncodeKeyPEM(key))(t); string(got) != text {
		t.Errorf("written as %s", got)
	}
}

func TestKeyOfAnotherKindIsNamedInTheError(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := must(x509.MarshalPKCS8PrivateKey(ec))(t)
	_, err = DecodeKeyPEM(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "ecdsa") || !strings.Contains(err.Error(), "Ed25519") {
		t.Errorf("%v", err)
	}
}

// TestErrorsNeverRepeatSecrets feeds parsers with secrets that are one
// character wrong.
func TestErrorsNeverRepeatSecrets(t *testing.T) {
	seed := testSeed("read key")
	key := ReadKeyFrom(seed)
	good := Address{ID: testID(), ReadKey: key}.StringWithReadKey()
	for _, bad := range []string{good[:len(good)-1], good + "a", strings.Replace(good, "aml", "amk", 1), good[:70] + "?" + good[70:], good + "#", "x" + good} {
		_, err := ParseAddress(bad)
		if err == nil || leaks(err.Error(), seed[:]) || strings.Contains(err.Error(), good[len(good)-20:len(good)-1]) {
			t.Errorf("error of an address: %v", err)
		}
	}
	entry := testEntry("a", 1)
	text := string(must(json.Marshal(entry))(t))
	secret := hex.EncodeToString(entry.Root.Key[:])
	for _, bad := range []string{strings.Replace(text, secret, secret[1:]+"X", 1), strings.Replace(text, secret, secret[1:], 1)} {
		_, err := ParseFileEntries([]byte(bad))
		if err == nil || strings.Contains(err.Error(), secret[1:20]) {
			t.Errorf("error of a file entry: %v", err)
		}
	}
	pem := string(must(EncodeKeyPEM(testKey("root1")))(t))
	if _, err := DecodeKeyPEM([]byte(strings.Replace(pem, "MC4C", "MC4D", 1))); err == nil || strings.Contains(err.Error(), pem[40:60]) {
		t.Errorf("error of a key file: %v", err)
	}
}
