package subscriber

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/flock"
)

// lockName is the file in a working folder that its run has locked.
const lockName = "lock"

// output is a folder that files are written to, opened as an os.Root: nothing
// reaches out of it, whatever links lie in it. Paths inside are local ones of
// this system. Its methods may be called from many goroutines at once.
type output struct {
	path string // for people
	root *os.Root
	work string // folder of our own below channel.PartialFolder, which is there only while something is written
	lock *flock.Lock

	floor int64 // bytes of the disk that are to stay free

	mu    sync.Mutex          // guards dirty
	dirty map[string]struct{} // folders whose names have to be synced
}

// openOutput opens a folder, with a place of its own for unfinished files that
// tag names, and may have some of an earlier run. The same tag twice at a time
// gives an error that wraps flock.ErrLocked.
func openOutput(path, tag string) (*output, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(tag))
	o := &output{path: path, root: root, work: filepath.Join(channel.PartialFolder, hex.EncodeToString(sum[:6])), dirty: map[string]struct{}{}}
	if err := o.claim(); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing to write below %s: %w", path, err), root.Close())
	}
	return o, nil
}

// claim makes the working folder and locks it.
func (o *output) claim() error {
	// Another run of ours deletes the folders when it ends, perhaps between
	// two steps of this one.
	for range 100 {
		err := o.root.MkdirAll(o.work, 0o700)
		if err == nil {
			err = o.tryLock()
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info, err := o.root.Lstat(filepath.Join(o.work, lockName)); err == nil && o.lock.Holds(info) {
			return nil
		}
		_ = o.lock.Unlock() // of a file that was deleted meanwhile
	}
	return fmt.Errorf("%s keeps disappearing", filepath.Join(o.path, o.work))
}

// tryLock opens the lock file within the output folder and locks it. A link in
// its place is refused: it could lead to a file of somebody else's.
func (o *output) tryLock() error {
	name := filepath.Join(o.work, lockName)
	if info, err := o.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %w: move it away", filepath.Join(o.path, name), flock.ErrForeign)
	}
	f, err := o.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if o.lock, err = flock.TryLockFile(f); errors.Is(err, flock.ErrOurs) {
		return fmt.Errorf("%s is %w: another fetch of this node writes there", filepath.Join(o.path, name), err)
	} else if err != nil {
		return fmt.Errorf("%s is %w", filepath.Join(o.path, name), err)
	}
	return nil
}

// close gives up the lock, and deletes the working folder unless unfinished
// files are left in it.
func (o *output) close() {
	// Whatever cannot be deleted now is left to the next run.
	_ = o.root.Remove(filepath.Join(o.work, lockName))
	_ = o.root.Remove(o.work)
	_ = o.root.Remove(channel.PartialFolder)
	_ = o.lock.Unlock()
	o.root.Close()
}

// hasLeftovers reports whether a run with this tag left something unfinished.
func hasLeftovers(path, tag string) bool {
	sum := sha256.Sum256([]byte(tag))
	_, err := os.Lstat(filepath.Join(path, channel.PartialFolder, hex.EncodeToString(sum[:6])))
	return err == nil
}

// CheckOutput makes a folder, unless it is there, and proves that files can be
// written to it: what is wrong is then known before anything is fetched.
func CheckOutput(path string) error {
	if path == "" {
		return errors.New("no output folder")
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fmt.Errorf("output folder %s: %w", path, err)
	}
	o, err := openOutput(path, "check"+rand.Text())
	if err != nil {
		return fmt.Errorf("output folder %s: %w", path, err)
	}
	defer o.close()
	name := filepath.Join(o.work, rand.Text())
	f, err := o.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("output folder %s: %w", path, err)
	}
	return errors.Join(f.Close(), o.root.Remove(name))
}
