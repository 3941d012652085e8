package mirrorfs

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/wholefile"
)

// Where a disk is not mounted there is an empty folder, which has none of the blobs: what
// is to be deleted would be taken for deleted, and all that is there put anew below the
// disk. So the folder gets a mark, and the plugin remembers it.

// markName is the file with the mark, rememberedName what the plugin has of it in a folder
// of its own: the name of the folder and the mark.
const markName, rememberedName = ".aml-mirror", "folder"

const maxMark = 8 << 10

// recognize makes sure that the folder is the one of last time. A first one, and one in
// which somebody has put an empty mark, is taken and marked.
func recognize(folder, state string) error {
	mark, err := wholefile.Read(filepath.Join(folder, markName), maxMark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("folder %s: %w", folder, err)
	}
	has := err == nil
	remembered, err := wholefile.Read(filepath.Join(state, rememberedName), maxMark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name, was, _ := bytes.Cut(remembered, []byte{0})
	switch {
	case string(name) != folder: // the first, or another that was configured
	case has && len(mark) == 0:
	case has && bytes.Equal(mark, was):
		return nil
	default:
		return fmt.Errorf("folder %s is not the one of last time: is the disk mounted? mount it; or, if this one is to be filled anew, put an empty file %s into it", folder, markName)
	}
	if len(mark) == 0 {
		mark = []byte(rand.Text())
		if err := wholefile.Replace(filepath.Join(folder, markName), mark); err != nil {
			return nil // it has no room for it now, or may not be written to: the next time, then
		}
	}
	return wholefile.Replace(filepath.Join(state, rememberedName), append([]byte(folder+"\x00"), mark...))
}
