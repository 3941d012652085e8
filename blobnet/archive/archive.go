// Package archive puts blobs into a tar and takes them out of one, so that they
// can travel on a USB stick, or through anything that carries a file.
//
// It is for whoever moves blobs without a network. It streams: neither side
// holds more than one blob. It must never trust an archive (each blob is hashed
// before it is stored), open a file, or look into a blob.
//
// The archive is a plain POSIX tar (ustar), in which each blob is a regular file
// blobs/<64 hex digits of its id>. Unpacked by any tar it is the folder that a
// web server serves as a mirror. Exports of the same blobs in the same order are
// the same bytes: mode 0644, owner 0, time 0.
package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// folder is where blobs lie in an archive.
const folder = "blobs/"

// ErrTruncated: the archive ends too early, or is damaged so that what follows
// cannot be found. What came before has been stored.
var ErrTruncated = errors.New("archive is cut short or damaged")

// Exported is what an Export wrote.
type Exported struct {
	Blobs, Bytes int64        // in the archive
	Missing      []blobnet.ID // asked for, but not in src, or rotten there; the first maxListed of them
	Left         int64        // how many those are
}

// maxListed bounds how many ids a result names.
const maxListed = 1000

// Export writes the blobs ids of src to w as an archive, in the order of ids:
// give them sorted and without repeats (as a blobnet.Lister does) for archives
// that can be compared. A blob that src does not have, or has only rotten, is
// left out and counted. When it fails, what was written is the beginning of an
// archive, which Import reads as far as it goes.
func Export(ctx context.Context, w io.Writer, src blobnet.Source, ids iter.Seq2[blobnet.ID, error]) (Exported, error) {
	var res Exported
	out := tar.NewWriter(w)
	var buf []byte
	for id, err := range ids {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return res, fmt.Errorf("exporting blobs: %w", err)
		}
		blob, err := src.Get(ctx, id, buf[:0])
		if errors.Is(err, blobnet.ErrNotFound) || errors.Is(err, blobnet.ErrCorrupt) {
			if res.Left++; len(res.Missing) < maxListed {
				res.Missing = append(res.Missing, id)
			}
			continue
		}
		if err != nil {
			return res, fmt.Errorf("exporting blobs: %w", err)
		}
		buf = blob
		if err := write(out, id, blob); err != nil {
			return res, fmt.Errorf("writing archive: %w", err)
		}
		res.Blobs++
		res.Bytes += int64(len(blob))
	}
	if err := out.Close(); err != nil {
		return res, fmt.Errorf("writing archive: %w", err)
	}
	return res, nil
}

// errStop ends a List whose reader has enough.
var errStop = errors.New("stop")

// All are the ids of all blobs of l, in order, for Export.
func All(ctx context.Context, l blobnet.Lister) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		err := l.List(ctx, func(info blobnet.Info) error {
			if !yield(info.ID, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(blobnet.ID{}, err)
		}
	}
}

func write(out *tar.Writer, id blobnet.ID, blob []byte) error {
	if err := out.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: folder + id.String(), Mode: 0o644, Size: int64(len(blob)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err := out.Write(blob)
	return err
}

// Imported is what an Import found and did.
type Imported struct {
	Blobs, Bytes int64        // stored, or there already
	Corrupt      []blobnet.ID // not what their names say, not stored; the first maxListed of them
	Bad          int64        // how many those are
	Skipped      int64        // entries that are no blobs
}

// Import stores the blobs of an archive in dst and syncs it, if it can. Blobs
// may lie in any folder of the archive: a tar of a mirror or of a store will do.
// Entries whose names are no ids are skipped. A blob that is not what its name
// says is not stored, counted, and no reason to stop. An archive that ends too
// early gives ErrTruncated, after what was whole has been stored; the error says
// how much that was. A full store, or any other error of dst, ends it. What
// follows the end of the archive is not read.
func Import(ctx context.Context, r io.Reader, dst blobnet.Store) (Imported, error) {
	var res Imported
	err := read(ctx, r, dst, &res)
	if s, ok := dst.(blobnet.Syncer); ok && res.Blobs > 0 {
		err = errors.Join(err, s.Sync(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return res, fmt.Errorf("importing blobs, of which %d were stored: %w", res.Blobs, err)
	}
	return res, nil
}

func read(ctx context.Context, r io.Reader, dst blobnet.Store, res *Imported) error {
	src := &ending{r: r}
	in := tar.NewReader(src)
	var buf []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, err := in.Next()
		if errors.Is(err, io.EOF) && !src.hit {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		id, ok := blobOf(head)
		if !ok {
			res.Skipped++
			continue
		}
		if head.Size > blobnet.MaxBlobSize { // before it is read or made room for
			res.bad(id)
			continue
		}
		buf = grow(buf, int(head.Size))
		if _, err := io.ReadFull(in, buf); err != nil {
			return damaged(err)
		}
		if blobnet.Sum(buf) != id {
			res.bad(id)
			continue
		}
		if err := put(ctx, dst, id, buf); err != nil {
			return err
		}
		res.Blobs++
		res.Bytes += head.Size
	}
}

// put stores a blob that was hashed a moment ago.
func put(ctx context.Context, dst blobnet.Store, id blobnet.ID, blob []byte) error {
	if v, ok := dst.(blobnet.VerifiedPutter); ok {
		return v.PutVerified(ctx, id, blob)
	}
	return dst.Put(ctx, id, blob)
}

// ending notes whether the reader was asked for more than it had. A whole
// archive says itself where it ends; tar.Reader takes either for an end.
type ending struct {
	r   io.Reader
	hit bool
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.hit = e.hit || n == 0 && errors.Is(err, io.EOF)
	return n, err
}

func (res *Imported) bad(id blobnet.ID) {
	if res.Bad++; len(res.Corrupt) < maxListed {
		res.Corrupt = append(res.Corrupt, id)
	}
}

// blobOf returns the id of a blob's entry.
func blobOf(head *tar.Header) (blobnet.ID, bool) {
	if head.Typeflag != tar.TypeReg || head.Size < 0 {
		return blobnet.ID{}, false
	}
	id, err := blobnet.ParseID(head.Name[strings.LastIndexByte(head.Name, '/')+1:])
	return id, err == nil
}

func grow(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// damaged tells a bad archive from a reader that failed.
func damaged(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return fmt.Errorf("reading archive: %w", err)
}
