package subscriber

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// partSuffix ends the names of unfinished files in a working folder.
const partSuffix = ".part"

// partName is where a target is written until it is complete: the same path in
// every run that wants the same file under the same name, and no other.
func (t *target) partName() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %x %x %d %o", t.name, t.entry.Root.ID[:], t.entry.SHA256[:], t.entry.Size, t.entry.Mode)
	return filepath.Join(t.out.work, hex.EncodeToString(h.Sum(nil)[:16])+partSuffix)
}

// begun reports whether an earlier run has left an unfinished file of the
// target, and opens it.
func (t *target) begun(ctx context.Context) (bool, error) {
	info, err := t.out.root.Lstat(t.partName())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return false, nil
	}
	if err == nil {
		_, err = t.file(ctx)
	}
	return err == nil, err
}

// open opens the unfinished file, with what earlier runs have written to it, or
// makes it with the mode, less the umask, that it will have in the end; its
// owner can always read and write it.
func (t *target) open(ctx context.Context) error {
	name, room, flags := t.partName(), t.entry.Size, os.O_RDWR
	info, err := t.out.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		flags |= os.O_CREATE | os.O_EXCL // never through a link
	case err != nil:
		return err
	case !info.Mode().IsRegular() || linked(info): // what would be written to may be somebody's
		if err := t.out.root.RemoveAll(name); err != nil {
			return err
		}
		flags |= os.O_CREATE | os.O_EXCL
	default:
		room -= min(room, allocated(info))
	}
	if err := t.out.room(room); err != nil {
		return err
	}
	f, err := t.out.root.OpenFile(name, flags, os.FileMode(t.entry.Mode&0o777|0o600))
	if err != nil {
		return err
	}
	if flags&os.O_CREATE == 0 {
		if opened, err := f.Stat(); err != nil || !os.SameFile(opened, info) {
			t.tempName = name
			return errors.Join(cmp.Or(err, t.disturbed("is not the file any more that was there a moment ago")), f.Close())
		}
	}
	if flags&os.O_CREATE == 0 && uint64(info.Size()) > t.entry.Size {
		if err := f.Truncate(int64(t.entry.Size)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if path := t.out.absolute(name); t.place != nil && path != "" {
		if t.claim, err = t.place.Begin(ctx, path, info == nil); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	t.temp, t.tempName, t.order.file = f, name, f
	return nil
}

// has reports whether the unfinished file of an earlier run holds a chunk, and
// returns its plaintext, in buf or else in a buffer of its own. Nothing is
// believed of that run: the chunk, sealed again, is the blob that is wanted, or it is not there.
func (t *target) has(chunk codec.Chunk, buf, scratch []byte) (plain, sealed []byte, ok bool) {
	size := int(min(chunk.Ref.Size, codec.MaxChunkSize))
	plain = slices.Grow(buf[:0], size)[:size]
	if n, _ := t.temp.ReadAt(plain, int64(chunk.Offset)); n < size { // what cannot be read is fetched
		return plain, scratch, false
	}
	sealed, err := codec.Seal(scratch[:0], plain, chunk.Ref.Key)
	return plain, sealed, err == nil && blobnet.Sum(sealed) == chunk.Ref.ID
}

// prune deletes the unfinished files of earlier runs that none of targets goes
// on with, and that are not spared.
func (o *output) prune(ctx context.Context, place Place, targets []*target, spared ...string) error {
	names, err := o.parts()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, t := range targets {
		wanted[t.partName()] = true
	}
	for _, name := range spared {
		wanted[name] = true
	}
	for _, name := range names {
		if wanted[name] {
			continue
		}
		if err := o.root.RemoveAll(name); err != nil {
			return err
		}
		o.forget(ctx, place, name)
	}
	return nil
}

// parts lists what is in the working folder beside the lock.
func (o *output) parts() ([]string, error) {
	d, err := o.root.Open(o.work)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	d.Close() // only read from
	for i, name := range names {
		names[i] = filepath.Join(o.work, name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, string(filepath.Separator)+lockName) }), err
}
