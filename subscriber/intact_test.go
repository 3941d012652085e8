package subscriber

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// tampered writes a file of two chunks, with hooks before the second and after it,
// and gives it its name.
func tampered(t *testing.T, between func(tgt *target, part string), after func(part string)) (*target, string, error) {
	t.Helper()
	plain := []byte("what was signed")
	dir := t.TempDir()
	out, err := openOutput(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.close)
	tgt := &target{
		name: "f", out: out, order: inorder{size: uint64(len(plain))},
		entry: channel.FileEntry{Name: "f", Size: uint64(len(plain)), SHA256: sha256.Sum256(plain), Mode: 0o644},
	}
	for i, offset := range []int{0, 5} {
		end := len(plain)
		if i == 0 {
			end = 5
		}
		if i == 1 {
			between(tgt, filepath.Join(dir, tgt.tempName))
		}
		if _, err := tgt.write(t.Context(), codec.Chunk{Offset: uint64(offset)}, append([]byte(nil), plain[offset:end]...), nil, func([]byte) {}); err != nil {
			t.Fatal(err)
		}
	}
	after(filepath.Join(dir, tgt.tempName))
	err = tgt.finish(t.Context())
	tgt.clean(t.Context())
	return tgt, dir, err
}

func overwrite(t *testing.T, path, with string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte(with), 0)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBytesThatAnotherProgramOverwroteAreNotCalledComplete(t *testing.T) {
	tgt, dir, err := tampered(t, func(*target, string) {}, func(part string) { overwrite(t, part, "WHAT") })
	if !errors.Is(err, ErrDisturbed) || tgt.over.Load() {
		t.Errorf("%v, over: %v", err, tgt.over.Load())
	}
	if _, err := os.Lstat(filepath.Join(dir, "f")); err == nil {
		t.Error("it is in place")
	}
	if _, err := os.Lstat(filepath.Join(dir, tgt.tempName)); err != nil {
		t.Errorf("it does not wait for the next run: %v", err)
	}
}

func TestATouchThatChangesNoByteIsNoHarm(t *testing.T) {
	tgt, dir, err := tampered(t, func(*target, string) {}, func(part string) {
		overwrite(t, part, "what")
		if err := os.Chtimes(part, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil || tgt.err != nil || !tgt.over.Load() {
		t.Fatal(err, tgt.err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(got) != "what was signed" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBytesThatWereOverwrittenWhileNothingCameAreNotCalledComplete(t *testing.T) {
	nothing := func(string) {}
	_, dir, err := tampered(t, func(tgt *target, part string) {
		tgt.lastWrite.Add(-int64(time.Second)) // it is a while ago
		overwrite(t, part, "WHAT")
	}, nothing)
	if !errors.Is(err, ErrDisturbed) {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "f")); err == nil {
		t.Error("it is in place")
	}
	if tgt, _, err := tampered(t, func(*target, string) {}, nothing); err != nil || tgt.touched.Load() {
		t.Errorf("nobody touched it: %v, %v", tgt.touched.Load(), err)
	}
}
