package secretfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOfManyWritersOneWinsAndItsFileIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var won atomic.Int32
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			switch err := Write(path, bytes.Repeat([]byte{byte(i)}, 100)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	group.Wait()
	data, err := Read(path, 100)
	if won.Load() != 1 || err != nil || len(data) != 100 || bytes.Count(data, data[:1]) != 100 {
		t.Errorf("%d writers won; the file holds %x, %v", won.Load(), data, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files were left behind: %v", left)
	}
}

func TestAFileThatIsTooLargeOrNoFileIsUnusable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := Write(path, make([]byte, 101)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 100); !errors.Is(err, ErrUnusable) {
		t.Errorf("101 bytes of 100: %v", err)
	}
	if _, err := Read(filepath.Dir(path), 100); !errors.Is(err, ErrUnusable) {
		t.Errorf("a folder: %v", err)
	}
}
