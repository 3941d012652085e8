package diskstore

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/blobnet"
)

// tree knows the names of everything in a store's folder:
//
//	ab/<64 hex digits>        a blob whose id begins with ab
//	ab/<64 hex digits>.part   a blob being written
//	quarantine/               files that did not hash to their name
//	index.db (-wal, -shm)     the index
//	lock                      locked while a store is open
//	unclean                   there may be work that was not finished
type tree struct{ root string }

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
	return t.root + separator + string(buf[:2]) + separator + string(buf[:])
}

// leaves is how many folders there are for blobs.
const leaves = 256

// leaf is the number of the folder that a blob is in: the first byte of its id.
func leaf(id blobnet.ID) int { return int(id[0]) }

func (t tree) leaf(n int) string { return t.root + separator + hexByte(n) }

// part is the name, after the blob's own, of a file that is being written. Who
// has the claim on the blob's id owns it.
const part = ".part"

func hexByte(n int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>4], digits[n&15]})
}

// makeLeaf makes the folder for a blob.
func (t tree) makeLeaf(n int) error {
	if err := os.Mkdir(t.leaf(n), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// walk calls yield for every file that has a blob's name, or is one half
// written, and lies where that blob belongs; whole ones come in ascending order
// of id. What else is there it passes over.
func (t tree) walk(yield func(id blobnet.ID, partial bool) error) error {
	for n := range leaves {
		files, err := readNames(t.leaf(n))
		if err != nil {
			return err
		}
		for _, file := range files {
			name, partial := strings.CutSuffix(file.Name(), part)
			id, err := blobnet.ParseID(name)
			if err != nil || leaf(id) != n || !file.Type().IsRegular() {
				continue
			}
			if err := yield(id, partial); err != nil {
				return err
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
