package mirrorfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func TestABlobIsKeptGivenBackAndForgotten(t *testing.T) {
	ctx, m := context.Background(), &mirror{}
	if err := m.configure(ctx, sdk.Setup{Config: map[string]string{"folder": t.TempDir()}}); err != nil {
		t.Fatal(err)
	}
	const text = "sealed bytes"
	id := sha256.Sum256([]byte(text))
	if _, err := m.Get(ctx, id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for _, wrong := range []string{"", "other bytes", text + "x", strings.Repeat("x", maxBlob+1)} {
		if err := m.Put(ctx, id, 1, strings.NewReader(wrong)); err == nil {
			t.Errorf("%.20q was taken", wrong)
		}
	}
	if has, err := m.Has(ctx, id); has || err != nil {
		t.Errorf("it has it: %v", err)
	}
	for range 2 {
		if err := m.Put(ctx, id, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := m.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.WriteFile(m.path(id), []byte("damaged bits"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Get(ctx, id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("damaged: %v", err)
	}
	if err := m.Put(ctx, id, 1, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, id); err != nil {
		t.Error(err)
	}
	if has, err := m.Has(ctx, id); has || err != nil {
		t.Errorf("after: %v, %v", has, err)
	}
}

// A killed process leaves nothing for ever, and a disk that is taken away is not written
// to below where it was.
func TestAFolderIsKeptCleanAndIsTheOneThatWasMeant(t *testing.T) {
	ctx, m := context.Background(), &mirror{}
	dir := filepath.Join(t.TempDir(), "disk")
	left := filepath.Join(dir, unfinished, tempPrefix+"1")
	if err := errors.Join(os.MkdirAll(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	if err := m.configure(ctx, sdk.Setup{Config: map[string]string{"folder": dir}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left is there: %v", err)
	}
	if err := errors.Join(os.Rename(dir, dir+" in use"), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256([]byte("x"))
	if err := m.Put(ctx, id, 1, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("into the folder below: %v", err)
	}
	// Nor is it believed that all is gone: else what is to be deleted would stay for ever.
	if _, err := m.Has(ctx, id); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("asked whether it has it: %v", err)
	}
	if err := m.Delete(ctx, id); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleting in the folder below: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("in the folder below: %v, %v", all, err)
	}
}

// A disk that is not mounted when the plugin begins is not taken for an empty one.
func TestAFolderThatIsAnotherThanLastTimeIsRefused(t *testing.T) {
	dir, state := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	configure := func() error {
		return (&mirror{}).configure(t.Context(), sdk.Setup{Config: map[string]string{"folder": dir}, State: state})
	}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(dir, 0o700), configure(), configure())
	must(os.Rename(dir, dir+" elsewhere"), os.Mkdir(dir, 0o700))
	if err := configure(); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("not mounted: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("in the folder below: %v, %v", all, err)
	}
	must(os.Remove(dir), os.Rename(dir+" elsewhere", dir), configure())
	// Another disk in its place is taken when somebody says so.
	must(os.Rename(dir, dir+" old"), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, markName), nil, 0o600), configure(), configure())
	must(os.Rename(dir, dir+" new"), os.Rename(dir+" old", dir))
	if err := configure(); err == nil {
		t.Error("the old disk is taken for the new one")
	}
}

// A link that bears a blob's name is none, also where it leads to one.
func TestALinkIsNoBlob(t *testing.T) {
	ctx, m := context.Background(), &mirror{}
	dir := t.TempDir()
	if err := m.configure(ctx, sdk.Setup{Config: map[string]string{"folder": dir}}); err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256([]byte("x"))
	elsewhere, path := filepath.Join(t.TempDir(), "x"), m.path(id)
	if err := errors.Join(os.WriteFile(elsewhere, []byte("x"), 0o600), os.MkdirAll(filepath.Dir(path), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Skip(err)
	}
	if _, err := m.Get(ctx, id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got: %v", err)
	}
	if err := m.Put(ctx, id, 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("put: %v, %v", info, err)
	}
}

// A folder that is gone is no folder without the blob.
func TestAFolderThatIsGoneIsAnError(t *testing.T) {
	ctx, m := context.Background(), &mirror{}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.Mkdir(dir, 0o700), m.configure(ctx, sdk.Setup{Config: map[string]string{"folder": dir}}), os.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"delete": m.Delete(ctx, [32]byte{1}), "put": m.Put(ctx, [32]byte{1}, 1, strings.NewReader("x"))} {
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFolderThatIsNotThereIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"", "relative", dir + "/missing", dir + "/file"} {
		if err := (&mirror{}).configure(context.Background(), sdk.Setup{Config: map[string]string{"folder": folder}}); err == nil {
			t.Errorf("%q was taken", folder)
		}
	}
}
