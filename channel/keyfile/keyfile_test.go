package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
)

func newKey(t *testing.T) channel.PrivateKey {
	t.Helper()
	key, err := channel.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeyFileOpensForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key := newKey(t)
	if err := Write(path, key); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || got.Public() != key.Public() {
		t.Errorf("another key came back, %v", err)
	}
	before, _ := os.ReadFile(path)
	if err := Write(path, newKey(t)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a key: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the key that was there was changed")
	}
	if runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(fmt.Sprint(err), "chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestKeyFileThatCannotBeReadOrWrittenIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("folder: %v", err)
	}
	if err := Write(filepath.Join(dir, "no", "key"), newKey(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	if err := Write(filepath.Join(dir, "empty"), channel.PrivateKey{}); err == nil {
		t.Error("an empty key was written")
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("large file: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files were left behind: %v", left)
	}
}

func TestMemberKeyFileIsOfAKindOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "member")
	key, err := channel.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteMember(path, key); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadMember(path); err != nil || got.Public() != key.Public() {
		t.Errorf("another key came back, %v", err)
	}
	if err := WriteMember(path, key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a key: %v", err)
	}
	if _, err := Load(path); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("as a key that signs: %v", err)
	}
	other := filepath.Join(dir, "publish")
	if err := Write(other, newKey(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMember(other); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("a key that signs as a member key: %v", err)
	}
	if _, err := LoadMember(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMember(path); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("readable by others: %v", err)
	}
}
