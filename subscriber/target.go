package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// target is one file on its way into an output.
type target struct {
	entry channel.FileEntry
	name  string // the slash path that it gets
	out   *output

	// ours are the contents that the file which is to be replaced may have. One
	// that has another is kept under another name. If nil, whatever is there is
	// replaced.
	ours []version
	// optional: nobody may have it any more, and that is no reason to wait.
	optional bool

	once     sync.Once // opens the temporary file
	temp     *os.File
	tempName string
	tempErr  error

	order     inorder
	fromStore atomic.Uint64 // bytes of plaintext
	fromPeers atomic.Uint64

	onEnd func(*target) // called once, by whoever ends it; may be nil
	ended sync.Once
	over  atomic.Bool // it has ended
	// Written before over becomes true, read after.
	local string
	kept  string // where what was replaced is now
	err   error  // nil: the file is in place
	lost  bool   // err is that a blob cannot be had
}

// settle says what became of the target; only the first call counts.
func (t *target) settle(err error, lost bool) {
	t.ended.Do(func() {
		t.err, t.lost = err, lost
		t.over.Store(true)
		if t.onEnd != nil {
			t.onEnd(t)
		}
	})
}

// lose ends the target because a blob of it cannot be had now.
func (t *target) lose(err error) { t.settle(fmt.Errorf("file %q: %w", t.name, err), true) }

// refuse ends the target because what was signed is wrong, or because something
// is in the way: trying again does not help.
func (t *target) refuse(err error) { t.settle(fmt.Errorf("file %q: %w", t.name, err), false) }

// file returns the temporary file, made when the first chunk is there.
func (t *target) file() (*os.File, error) {
	t.once.Do(func() {
		if t.tempErr = t.out.room(t.entry.Size); t.tempErr != nil {
			return
		}
		t.temp, t.tempName, t.tempErr = t.out.temp(t.entry.Mode)
		t.order.file = t.temp
	})
	return t.temp, t.tempErr
}

// write takes in an opened chunk, in a buffer that goes back through free, and
// reports whether the file is complete. Its errors are those of the disk.
func (t *target) write(chunk codec.Chunk, plain []byte, free func([]byte)) (complete bool, err error) {
	f, err := t.file()
	if err == nil {
		_, err = f.WriteAt(plain, int64(chunk.Offset))
	}
	if err != nil {
		free(plain)
		return false, err
	}
	disk.StartWriteback(f, int64(chunk.Offset), len(plain))
	return t.order.add(chunk.Offset, plain, free)
}

// finish checks the complete file and gives it its name. It ends the target, or
// returns an error of the disk.
func (t *target) finish(ctx context.Context) error {
	if got := t.order.result(); got != t.entry.SHA256 {
		t.refuse(fmt.Errorf("%w: got %s, signed is %s", codec.ErrHash, got, t.entry.SHA256))
		return nil
	}
	if !t.entry.Modified.IsZero() {
		when := t.entry.Modified.Time()
		if err := t.out.root.Chtimes(t.tempName, when, when); err != nil {
			return err
		}
	}
	err := t.temp.Sync()
	if err := errors.Join(err, t.temp.Close()); err != nil {
		return err
	}
	local, info, err := t.out.inspect(t.name)
	if errors.Is(err, ErrConflict) {
		t.settle(err, false) // it names the file
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.spare(ctx, local, info); err != nil {
		return err
	}
	if err := t.out.place(t.tempName, local); err != nil {
		return err
	}
	t.local = local
	t.settle(nil, false)
	return nil
}

// spare keeps what is to be replaced, if it is somebody else's.
func (t *target) spare(ctx context.Context, local string, info fs.FileInfo) error {
	if info == nil || t.ours == nil {
		return nil
	}
	ours, err := t.out.isOne(ctx, local, info, append(slices.Clip(t.ours), version{t.entry.Size, t.entry.SHA256})...)
	if err != nil || ours {
		return err
	}
	t.kept, err = t.out.keep(local, info)
	return err
}

// clean deletes the temporary file of a target that has no use for it. Nobody
// may write to the target any more.
func (t *target) clean() {
	if t.temp == nil || t.over.Load() && t.err == nil {
		return
	}
	t.temp.Close()                    // it is thrown away
	_ = t.out.root.Remove(t.tempName) // or the next run sweeps it
}
