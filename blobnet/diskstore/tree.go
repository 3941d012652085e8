package diskstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/anonymous-media-library/aml/blobnet"
)

// tree knows the names of everything in a store's folder:
//
//	ab/cd/<64 hex digits>   a blob whose id begins with abcd
//	tmp/                    files being written; emptied by every start
//	quarantine/             files that did not hash to their name
//	index.db (-wal, -shm)   the index
//	lock                    locked while a store is open
//	unclean                 there may be work that was not finished
type tree struct{ root string }

func (t tree) temp() string       { return filepath.Join(t.root, "tmp") }
func (t tree) quarantine() string { return filepath.Join(t.root, "quarantine") }
func (t tree) index() string      { return filepath.Join(t.root, "index.db") }
func (t tree) lock() string       { return filepath.Join(t.root, "lock") }
func (t tree) marker() string     { return filepath.Join(t.root, "unclean") }

const separator = string(filepath.Separator)

// blob returns the path of a blob, in one allocation: it is made for every id
// that anybody asks for.
func (t tree) blob(id blobnet.ID) string {
	var buf [2 * len(id)]byte
	hex.Encode(buf[:], id[:])
	return t.root + separator + string(buf[:2]) + separator + string(buf[2:4]) + separator + string(buf[:])
}

// leaf is the number of the folder that a blob is in, 0 to 65,535: the first
// two bytes of its id.
func leaf(id blobnet.ID) int { return int(id[0])<<8 | int(id[1]) }

func (t tree) top(n int) string { return t.root + separator + hexByte(n) }

func (t tree) leaf(n int) string { return t.top(n>>8) + separator + hexByte(n&0xff) }

func hexByte(n int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>4], digits[n&15]})
}

// makeLeaf makes the folder for a blob.
func (t tree) makeLeaf(n int) error {
	for _, dir := range []string{t.top(n >> 8), t.leaf(n)} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// clearTemp removes what a crash left half-written.
func (t tree) clearTemp() error {
	names, err := os.ReadDir(t.temp())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(t.temp(), name.Name())); err != nil {
			return fmt.Errorf("removing leftover: %w", err)
		}
	}
	return nil
}

// walk calls yield for every file that has a blob's name and lies where that
// blob belongs, in ascending order of id. What else is there it passes over.
func (t tree) walk(yield func(id blobnet.ID) error) error {
	for top := range 256 {
		leaves, err := readNames(t.top(top))
		if err != nil {
			return err
		}
		for _, name := range leaves {
			low, ok := parseHexByte(name.Name())
			if !ok || !name.IsDir() {
				continue
			}
			files, err := readNames(t.leaf(top<<8 | low))
			if err != nil {
				return err
			}
			for _, file := range files {
				id, err := blobnet.ParseID(file.Name())
				if err != nil || leaf(id) != top<<8|low || !file.Type().IsRegular() {
					continue
				}
				if err := yield(id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readNames lists a folder by name; one that is not there is empty.
func readNames(dir string) ([]fs.DirEntry, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

func parseHexByte(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 16, 8)
	return int(n), err == nil && s == hexByte(int(n))
}
