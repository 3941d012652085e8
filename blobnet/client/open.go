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
	release func() error
}

// Close ends what is on its way for this File alone and, with the last of one
// file, the search for those who have it.
func (f *File) Close() error {
	err := f.Reader.Close()
	if releaseErr := f.release(); err == nil {
		err = releaseErr
	}
	return err
}

// openFile is what all Files of one file share.
type openFile struct {
	*stream.File
	of    codec.File
	users int // guarded by Client.mu
	stop  func()
}

// Open returns f for reading from any offset before it is here: first just the
// bytes that are read, then some seconds ahead of them. What came whole stays in
// the store, and all that opened one file share what is on its way. Of a file
// with parity blobs may be lost. The caller closes it; reads fail after ctx has
// ended.
func (c *Client) Open(ctx context.Context, f codec.File) (*File, error) {
	c.mu.Lock()
	o := c.opened[f.Root.ID]
	if o != nil && o.of == f {
		o.users++
	} else {
		o = nil
	}
	c.mu.Unlock()
	if o == nil {
		var err error
		if o, err = c.open(f); err != nil {
			return nil, err
		}
	}
	return &File{Reader: o.NewReader(ctx), release: func() error { return c.release(o) }}, nil
}

// open opens f for a first user. Another may do so at the same time: then they
// share nothing, and each is right.
func (c *Client) open(f codec.File) (*openFile, error) {
	swarm, stop, err := c.swarm(context.Background(), f) // release ends the search
	if err != nil {
		return nil, err
	}
	src, err := c.source(swarm, f)
	if err == nil {
		var file *stream.File
		if file, err = stream.NewFile(stream.Config{Source: src.swarm, Rebuild: src}, f); err == nil {
			o := &openFile{File: file, of: f, users: 1, stop: stop}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.opened[f.Root.ID] = o
			return o, nil
		}
	}
	stop()
	return nil, fmt.Errorf("opening a file of %d bytes: %w", f.Size, err)
}

func (c *Client) release(o *openFile) error {
	c.mu.Lock()
	o.users--
	last := o.users == 0
	if last && c.opened[o.of.Root.ID] == o {
		delete(c.opened, o.of.Root.ID)
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	err := o.File.Close()
	o.stop()
	return err
}
