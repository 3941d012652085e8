package publisher

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// InPlace takes note of chunks that lie in files. *inplace.Store is one. Its
// method may be called from many goroutines at once.
type InPlace interface {
	Begin(ctx context.Context, path string, made bool) (*inplace.File, error)
}

var errNoInPlace = errors.New("there is no store for what stays in its files")

// leaving takes in the chunks of one file, which stay in it, and puts the rest.
type leaving struct {
	blobs blobnet.Store
	file  *inplace.File
}

var _ codec.ChunkPutter = leaving{}

func (l leaving) PutChunk(ctx context.Context, ref codec.Ref, offset uint64, blob []byte) error {
	l.file.Add(ctx, ref, offset, blob)
	return ctx.Err()
}

func (l leaving) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if v, ok := l.blobs.(blobnet.VerifiedPutter); ok {
		return v.PutVerified(ctx, id, blob) // the codec has just hashed it
	}
	return l.blobs.Put(ctx, id, blob)
}

// leave is where the blobs of a file go that is sealed in place. settle must be
// called in the end with what came of it.
func (p *Publisher) leave(ctx context.Context, path string) (dst codec.Putter, settle func(error) error, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	file, err := p.cfg.InPlace.Begin(ctx, path, false)
	if err != nil {
		return nil, nil, err
	}
	return leaving{p.cfg.Blobs, file}, func(err error) error {
		switch {
		case err == nil:
		case file.Fresh():
			return errors.Join(err, file.Drop(context.WithoutCancel(ctx)))
		default: // what was sealed of it earlier may still be there: whoever asks finds out
			file.Close()
			return err
		}
		return file.Done(ctx, path, true)
	}, nil
}
