package subscriber

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// One name that a file system cannot hold must not hold up what comes after it.
func TestANameThatTheFileSystemCannotHoldIsAConflict(t *testing.T) {
	o, err := openOutput(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	long := strings.Repeat("x", 300)
	for _, name := range []string{long, "below/" + long, long + "/x"} {
		if err := os.MkdirAll(filepath.Join(o.path, "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.inspect(name); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "cannot hold") {
			t.Errorf("%.8s: %v", name, err)
		}
	}
	f, err := o.root.Create("temp")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, local := range []string{long, filepath.Join(long, "x")} {
		if err := unholdable(local, o.place("temp", local)); !errors.Is(err, ErrConflict) {
			t.Errorf("%.8s: %v", local, err)
		}
	}
	for err, want := range map[error]bool{
		syscall.ENAMETOOLONG: true, syscall.EINVAL: true, syscall.EILSEQ: true, syscall.ENOSPC: false, syscall.EACCES: false, syscall.EIO: false, nil: false,
	} {
		if got := unholdable("x", err); errors.Is(got, ErrConflict) != want || !errors.Is(got, err) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestTheNameOfAKeptFileIsNoLongerThanNamesCanBe(t *testing.T) {
	for _, base := range []string{strings.Repeat("n", 255), strings.Repeat("é", 127), strings.Repeat("€", 85), "short"} {
		for i, suffix := range map[int]string{1: ".kept", 2: ".kept-2", 999: ".kept-999"} {
			for _, longest := range keptLengths {
				got := keptName(filepath.Join("folder", base), i, longest)
				name := filepath.Base(got)
				if filepath.Dir(got) != "folder" || len(name) > longest || !utf8.ValidString(name) || !strings.HasSuffix(name, suffix) {
					t.Errorf("%.8s: %s", base, got)
				}
				if base == "short" && name != base+suffix {
					t.Errorf("%s", name)
				}
			}
		}
	}
}
