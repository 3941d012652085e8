package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive is a file with these bytes.
func archive(t *testing.T, data []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tarOf(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatCanBeRunInAnArchiveCanBeRunAfterwards(t *testing.T) {
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for name, mode := range map[string]os.FileMode{"bin/app": 0o755, "README": 0o644} {
		h := &zip.FileHeader{Name: name}
		h.SetMode(mode)
		if _, err := w.CreateHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for kind, data := range map[string][]byte{
		"zip": z.Bytes(),
		"tar": tarOf(t, &tar.Header{Name: "./bin/app", Mode: 0o4755, Size: 3}, &tar.Header{Name: "README", Mode: 0o666, Size: 3}),
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if err := Into(t.Context(), dir, archive(t, data), Limits{2, 100}); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for name, want := range map[string]os.FileMode{"bin/app": 0o700, "README": 0o600} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
				t.Errorf("%s: %s: %v, %v; want %v", kind, name, info.Mode(), err, want)
			}
		}
	}
}

func TestAnArchiveIsNotUnpackedBeyondItsLimits(t *testing.T) {
	files := []*tar.Header{{Name: "a", Mode: 0o600, Size: 10}, {Name: "b", Mode: 0o600, Size: 10}}
	for what, test := range map[string]struct {
		data   []byte
		limits Limits
	}{
		"files":          {tarOf(t, files...), Limits{1, 100}},
		"bytes":          {tarOf(t, files...), Limits{2, 19}},
		"nothing in it":  {tarOf(t), Limits{2, 100}},
		"a name twice":   {tarOf(t, files[0], files[0]), Limits{2, 100}},
		"folders":        {tarOf(t, &tar.Header{Name: "a/", Typeflag: tar.TypeDir}, &tar.Header{Name: "b/", Typeflag: tar.TypeDir}, &tar.Header{Name: "c/", Typeflag: tar.TypeDir}, &tar.Header{Name: "d/", Typeflag: tar.TypeDir}, &tar.Header{Name: "e/", Typeflag: tar.TypeDir}, files[0]), Limits{2, 100}},
		"a deep name":    {tarOf(t, &tar.Header{Name: strings.Repeat("a/", 40) + "b", Size: 1}), Limits{2, 100}},
		"a name too far": {tarOf(t, &tar.Header{Name: "../a", Size: 1}), Limits{2, 100}},
		"a link":         {tarOf(t, &tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/"}), Limits{2, 100}},
	} {
		dir := t.TempDir()
		if err := Into(t.Context(), filepath.Join(dir, "out"), archive(t, test.data), test.limits); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", what, err)
		}
		if beside, _ := os.ReadDir(dir); len(beside) > 1 {
			t.Errorf("%s: beside the folder: %v", what, beside)
		}
	}
}

func FuzzInto(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		_ = Into(context.Background(), filepath.Join(dir, "out"), archive(t, data), Limits{100, 1 << 20})
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
			t.Fatalf("beside the folder: %v %v", entries, err)
		}
	})
}
