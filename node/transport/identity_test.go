package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestIdentityIsCreatedPrivateAndStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home", "keys", "node.pem")
	first, err := LoadOrCreateIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateIdentity(path)
	if err != nil || !again.Equals(first) {
		t.Fatalf("second load: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestManyProcessesThatCreateAnIdentityAtOnceGetTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.pem")
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[string]bool)
	for range 16 {
		wg.Go(func() {
			key, err := LoadOrCreateIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			raw, _ := key.Raw()
			mu.Lock()
			seen[string(raw)] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Fatalf("%d identities", len(seen))
	}
}

func TestCorruptIdentityIsAClearErrorAndIsNotReplaced(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	if _, err := LoadOrCreateIdentity(good); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(strings.Replace(string(whole), "MC4C", "NC4C", 1))
	for name, data := range map[string][]byte{
		"empty":        nil,
		"text":         []byte("hello"),
		"truncated":    whole[:len(whole)/2],
		"flipped":      flipped,
		"other key":    pem.EncodeToMemory(&pem.Block{Type: identityPEM, Bytes: der}),
		"other label":  []byte(strings.ReplaceAll(string(whole), "PRIVATE", "PUBLIC")),
		"endless":      append(whole, make([]byte, 1<<20)...),
		"binary noise": {0, 1, 2, 0xff},
	} {
		path := filepath.Join(t.TempDir(), "node.pem")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateIdentity(path)
		if !errors.Is(err, ErrIdentityCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: got %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != string(data) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestIdentityThatOthersCanReadIsRefusedWithTheRemedy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such permissions")
	}
	path := filepath.Join(t.TempDir(), "node.pem")
	if _, err := LoadOrCreateIdentity(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateIdentity(path)
		if !errors.Is(err, ErrIdentityExposed) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: got %v", mode, err)
		}
	}
}

func TestIdentityThatIsADirectoryOrCannotBeCreatedIsAnError(t *testing.T) {
	if _, err := LoadOrCreateIdentity(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateIdentity(filepath.Join(file, "node.pem")); err == nil {
		t.Error("a file was accepted as a folder")
	}
}
