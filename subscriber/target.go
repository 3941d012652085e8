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

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/subscriber/policy"
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
	// doubted is a blob that was not to be had before: it is asked for first. If
	// zero, none.
	doubted blobnet.ID

	place Place // may be nil

	writers   atomic.Int32 // of ours, at this moment
	lastWrite atomic.Int64 // when one of ours ended, in nanoseconds since 1970
	touched   atomic.Bool  // somebody else wrote to the unfinished file

	once     sync.Once // opens the unfinished file
	temp     *os.File
	tempName string
	tempErr  error
	written  fs.FileInfo   // how the unfinished file looked after the last write; set once it is complete
	index    *indexes      // what its index blobs are; set before the first chunk is asked for
	rooted   bool          // it is known whether it is coded
	coded    bool          // it has parity
	rescues  int           // how often its stripes were tried
	claim    *inplace.File // of the unfinished file, then of the finished one; nil without a place

	order      inorder
	gaps, came atomic.Int64 // chunks that nobody has, since the last rescue; that came

	fromStore atomic.Uint64 // bytes of plaintext
	fromPeers atomic.Uint64

	scan func(context.Context, *target) (HookVerdict, error) // before it gets its name; may be nil

	onEnd func(*target) // called once, by whoever ends it; may be nil
	ended sync.Once
	over  atomic.Bool // it has ended
	// Written before over becomes true, read after.
	local string
	kept  string          // where what was replaced is now
	err   error           // nil: the file is in place
	lost  bool            // err is that a blob cannot be had
	lacks blobnet.ID      // the blob, if it is known which
	said  *policy.Verdict // why hooks refuse what is in it
}

// settle says what became of the target; only the first call counts.
func (t *target) settle(err error, lost bool) {
	t.ended.Do(func() { t.end(err, lost) })
}

func (t *target) end(err error, lost bool) {
	t.err, t.lost = err, lost
	t.over.Store(true)
	if t.onEnd != nil {
		t.onEnd(t)
	}
}

// lose ends the target because a blob of it cannot be had now.
func (t *target) lose(err error) {
	var missing *fetch.NotFoundError
	if errors.As(err, &missing) {
		t.loseOf(missing.ID, err)
		return
	}
	t.loseOf(blobnet.ID{}, err)
}

func (t *target) loseOf(id blobnet.ID, err error) {
	t.ended.Do(func() {
		t.lacks = id
		t.end(fmt.Errorf("file %q: %w", t.name, err), true)
	})
}

// refuse ends the target because what was signed is wrong, or because something
// is in the way: trying again does not help.
func (t *target) refuse(err error) { t.settle(fmt.Errorf("file %q: %w", t.name, err), false) }

// file returns the unfinished file, made when the first chunk is there.
func (t *target) file(ctx context.Context) (*os.File, error) {
	t.once.Do(func() { t.tempErr = t.open(ctx) })
	return t.temp, t.tempErr
}

// write takes in an opened chunk, with the blob that it was, in a buffer that goes back through free, and
// reports whether the file is complete. Its errors are those of the disk.
func (t *target) write(ctx context.Context, chunk codec.Chunk, plain, blob []byte, free func([]byte)) (complete bool, err error) {
	f, err := t.file(ctx)
	if err == nil {
		err = t.writeAt(f, plain, int64(chunk.Offset))
	}
	if err != nil {
		free(plain)
		return false, err
	}
	disk.StartWriteback(f, int64(chunk.Offset), len(plain))
	return t.take(ctx, chunk, plain, blob, free)
}

// take is write of a chunk that is in the file already.
func (t *target) take(ctx context.Context, chunk codec.Chunk, plain, blob []byte, free func([]byte)) (complete bool, err error) {
	if t.claim != nil {
		t.claim.Add(ctx, chunk.Ref, chunk.Offset, blob)
	}
	if complete, err = t.order.add(chunk.Offset, plain, free); complete {
		t.written, err = t.temp.Stat()
	}
	return complete, err
}

// finish checks the complete file and gives it its name. It ends the target, or
// returns an error of the disk or, if another program was at the file, one that
// wraps ErrDisturbed.
func (t *target) finish(ctx context.Context) error {
	if got := t.order.result(); got != t.entry.SHA256 {
		// What others wrote may have been read back, and is no fault of the entry.
		if _, err := t.intact(ctx); err != nil {
			return err
		}
		t.refuse(fmt.Errorf("%w: got %s, the entry says %s", codec.ErrHash, got, t.entry.SHA256))
		return nil
	}
	if passed, err := t.scanned(ctx); err != nil || !passed {
		return err
	}
	if err := t.temp.Sync(); err != nil {
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
	ours, err := t.replaces(ctx, local, info)
	if err != nil {
		return err
	}
	held, err := t.intact(ctx)
	if err != nil {
		return err
	}
	if !ours {
		if t.kept, err = t.out.keep(local, info); err != nil {
			return t.placing(err)
		}
	}
	if !t.entry.Modified.IsZero() {
		when := t.entry.Modified.Time()
		if err := t.out.root.Chtimes(t.tempName, when, when); err != nil {
			return err
		}
	}
	if err := t.temp.Close(); err != nil {
		return err
	}
	if err := t.out.place(t.tempName, local); err != nil {
		return t.placing(err)
	}
	if err := t.arrived(local, held); err != nil {
		return err
	}
	if err := t.register(ctx, local, info == nil); err != nil {
		return err
	}
	t.local = local
	t.settle(nil, false)
	return nil
}

// placing ends the target if its name is what is wrong, which is no trouble of
// other files; any other error is one of the disk.
func (t *target) placing(err error) error {
	if conflict := unholdable(t.name, err); errors.Is(conflict, ErrConflict) {
		t.settle(conflict, false)
		return nil
	}
	return err
}

// register lets the file be served under its name. made: there was none of that name.
func (t *target) register(ctx context.Context, local string, made bool) error {
	if t.claim == nil {
		return nil
	}
	t.claim.Hold(t.index.ids...)
	return t.claim.Done(ctx, t.out.absolute(local), made)
}

// replaces reports whether what is at local, if anything, is to be replaced; if
// not it is somebody else's.
func (t *target) replaces(ctx context.Context, local string, info fs.FileInfo) (bool, error) {
	if info == nil || t.ours == nil {
		return true, nil
	}
	return t.out.isOne(ctx, local, info, append(slices.Clip(t.ours), version{t.entry.Size, t.entry.SHA256})...)
}

// clean closes the unfinished file of a target that is not in place. It stays
// for the next run, unless what was signed is wrong. Nobody may write to the
// target any more.
func (t *target) clean(ctx context.Context) {
	if t.temp == nil || t.over.Load() && t.err == nil {
		return
	}
	t.temp.Close() // what was not written is fetched again
	if t.claim != nil {
		t.claim.Close()
	}
	if t.over.Load() && !t.lost {
		_ = t.out.root.Remove(t.tempName) // or the next run prunes it
		t.out.forget(ctx, t.place, t.tempName)
	}
}
