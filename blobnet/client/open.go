package client

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/stream"
)

// File is a file that is read while it comes. It is an io.ReadSeekCloser and an
// io.ReaderAt; see stream.Reader.
type File struct {
	*stream.Reader
	stop func()
}

// Close ends the search for those who have the file, and what is on its way.
func (f *File) Close() error {
	err := f.Reader.Close()
	f.stop()
	return err
}

// Open returns f for reading from any offset before it is here: first just the
// bytes that are read, then some seconds ahead of them. What came whole stays in
// the store. The caller closes it; reads fail after ctx has ended.
func (c *Client) Open(ctx context.Context, f codec.File) (*File, error) {
	swarm, stop, err := c.swarm(ctx, f)
	if err != nil {
		return nil, err
	}
	r, err := stream.Open(ctx, stream.Config{Source: swarm}, f)
	if err != nil {
		stop()
		return nil, fmt.Errorf("opening a file of %d bytes: %w", f.Size, err)
	}
	return &File{Reader: r, stop: stop}, nil
}
