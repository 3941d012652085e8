package subscriber

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/codec"
)

// ErrDisturbed: another program changed, replaced or moved a file while it was
// written, so that what is there now is not what was signed. The next run looks
// at what is left and fetches the rest.
var ErrDisturbed = errors.New("another program was at it")

// disturbed is the error that says what became of the unfinished file.
func (t *target) disturbed(what string) error {
	return fmt.Errorf("%w: %s %s; keep other programs away from it and fetch it again: what is left of it is not fetched twice",
		ErrDisturbed, t.out.full(t.tempName), what)
}

const (
	// pause is how long nothing is written, in nanoseconds, until the next write
	// looks whether somebody else wrote: at most so often does it cost a call.
	pause = int64(50 * time.Millisecond)
	// tick is more than the clock that stamps files and ours are apart. Where it
	// is less, as with a server's clock, a file is read once too often.
	tick = int64(20 * time.Millisecond)
)

// writeAt writes to the unfinished file, after a look whether others did since
// the last write, if that is a while ago.
func (t *target) writeAt(f *os.File, plain []byte, offset int64) error {
	if last := t.lastWrite.Load(); last > 0 && time.Now().UnixNano()-last > pause && t.writers.Load() == 0 && !t.touched.Load() {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.ModTime().UnixNano() > last+tick && t.writers.Load() == 0 && t.lastWrite.Load() == last {
			t.touched.Store(true)
		}
	}
	t.writers.Add(1)
	_, err := f.WriteAt(plain, offset)
	t.lastWrite.Store(time.Now().UnixNano())
	t.writers.Add(-1)
	return err
}

// intactTries is how often a file that others touch is read again.
const intactTries = 3

// intact makes sure that the name of the complete unfinished file leads to the
// file that was written, and that nobody has written to it since. What says so
// costs a look at the two; only where they are not as they were left is the file
// read. It returns how the file looks.
func (t *target) intact(ctx context.Context) (fs.FileInfo, error) {
	whole := false // as the disk has it, when it looked like t.written
	for range intactTries {
		held, err := t.temp.Stat()
		if err != nil {
			return nil, err
		}
		named, err := t.out.root.Lstat(t.tempName)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, t.disturbed("is not there any more")
		case err != nil:
			return nil, err
		case !os.SameFile(held, named):
			return nil, t.disturbed("is not the file any more that was written")
		case uint64(held.Size()) != t.entry.Size:
			return nil, t.disturbed(fmt.Sprintf("has %d bytes instead of %d", held.Size(), t.entry.Size))
		case sameState(held, t.written) && (whole || !t.touched.Load() && !hasHoles(held)):
			return held, nil
		}
		sum, err := t.reread(ctx)
		if err != nil {
			return nil, err
		}
		if sum != t.entry.SHA256 {
			return nil, t.disturbed("does not hold the bytes any more that were written")
		}
		t.written, whole = held, true
	}
	return nil, t.disturbed("keeps changing")
}

// sameState reports whether a file was left alone between two looks at it. A
// write sets its times, though not to finer than the system's clock ticks.
func sameState(a, b fs.FileInfo) bool {
	return b != nil && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a) == changeTime(b)
}

// hasHoles reports whether a file takes less of the disk than it has bytes: it
// was cut and written on, or its file system compresses. Nothing is known of one
// that takes nothing.
func hasHoles(info fs.FileInfo) bool {
	blocks := allocated(info)
	return blocks > 0 && blocks < uint64(info.Size())
}

// reread hashes the unfinished file as it can be read now.
func (t *target) reread(ctx context.Context) (codec.Hash, error) {
	h := sha256.New()
	_, err := io.CopyBuffer(h, &cancelReader{ctx, io.NewSectionReader(t.temp, 0, int64(t.entry.Size))}, make([]byte, 256<<10))
	if err != nil {
		return codec.Hash{}, fmt.Errorf("reading %s: %w", t.out.full(t.tempName), err)
	}
	return codec.Hash(h.Sum(nil)), nil
}

// arrived makes sure that the file which was just given its name can be found
// by it: the name may have been taken by another file in the same moment, or the
// whole folder moved away. held is the file.
func (t *target) arrived(local string, held fs.FileInfo) error {
	path := t.out.absolute(local)
	if path == "" {
		path = t.out.full(local)
	}
	info, err := os.Lstat(path)
	if err == nil && os.SameFile(info, held) && uint64(info.Size()) == t.entry.Size {
		return nil
	}
	if here, hereErr := t.out.root.Lstat(local); hereErr == nil && os.SameFile(here, held) && !os.SameFile(here, info) {
		return fmt.Errorf("%w: the folder %s was moved away or replaced, and the file is in the one that was moved; move it back, or fetch it again",
			ErrDisturbed, t.out.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: what is at %s is not the file that was put there; move it away and fetch it again", ErrDisturbed, path)
}
