package natsbridge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Limits of blobs in an object store.
const (
	blobTimeout  = 30 * time.Second // for one blob, either way
	blobsAtOnce  = 8
	blobLife     = 30 * 24 * time.Hour // in a bucket that was made here
	DefaultBlobs = 4 << 30             // bytes in one
)

// Blobs are sealed blobs in JetStream's object store, for sites that cannot reach
// peers: the bucket aml_<network>_blobs, each object named by its blob's id in hex.
// It is a cache: what is wrong or gone in it is put there again by who has it. All
// methods may be called from many goroutines at once.
type Blobs struct {
	bucket jetstream.ObjectStore
	name   string
	turn   chan struct{}
}

// Blobs opens the bucket, and makes it if there is none and mayMake, with so many
// replicas and room for so many bytes.
func (c *Conn) Blobs(ctx context.Context, replicas int, maxBytes int64, mayMake bool) (*Blobs, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := c.names.stream("blobs")
	bucket, err := c.js.ObjectStore(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) && mayMake {
		bucket, err = c.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: name, Description: "aml: sealed blobs", TTL: blobLife, MaxBytes: maxBytes, Storage: jetstream.FileStorage, Replicas: max(replicas, 1),
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody was quicker
			bucket, err = c.js.ObjectStore(ctx, name)
		}
	}
	if err != nil {
		return nil, explain(fmt.Errorf("object store %s: %w", name, err))
	}
	return &Blobs{bucket: bucket, name: "nats:" + name, turn: make(chan struct{}, blobsAtOnce)}, nil
}

// Name names the bucket, for who fetches from it.
func (b *Blobs) Name() string { return b.name }

// Get appends a blob to dst, as blobnet.Source says. What lies under its name and is
// another, or less than the store says, is ErrCorrupt, and what is too large for a blob
// ErrTooLarge.
func (b *Blobs) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return dst, err
	}
	defer done()
	object, err := b.bucket.Get(ctx, id.String())
	if err != nil {
		return dst, b.explain("getting", id, err)
	}
	defer object.Close()
	info, err := object.Info()
	if err != nil {
		return dst, b.explain("getting", id, err)
	}
	if info.Size > blobnet.MaxBlobSize { // as somebody says; what comes is bounded, too
		return dst, fmt.Errorf("getting blob %s from %s: %w: %d bytes", id.Short(), b.name, blobnet.ErrTooLarge, info.Size)
	}
	n := len(dst)
	data := slices.Grow(dst, int(info.Size))[:n+int(info.Size)]
	if _, err := io.ReadFull(object, data[n:]); err != nil {
		return dst, b.explain("getting", id, err)
	}
	if blobnet.Sum(data[n:]) != id {
		return dst, b.explain("getting", id, blobnet.ErrCorrupt)
	}
	return data, nil
}

// Have reports which blobs are there, as the store says: what is under the name is
// seen by Get alone.
func (b *Blobs) Have(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			ctx, done, err := b.begin(ctx)
			if err != nil {
				return err
			}
			defer done()
			info, err := b.bucket.GetInfo(ctx, id.String())
			has[i] = err == nil && info.Digest == objectDigest(id)
			if errors.Is(err, jetstream.ErrObjectNotFound) {
				return nil
			}
			return b.explain("asking for", id, err)
		})
	}
	return has, group.Wait()
}

// objectDigest is a blob's id, as the store writes the SHA-256 of an object.
func objectDigest(id blobnet.ID) string { return "SHA-256=" + base64.URLEncoding.EncodeToString(id[:]) }

// Put puts a blob there, in the place of what is under its name.
func (b *Blobs) Put(ctx context.Context, id blobnet.ID, data []byte) error {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = b.bucket.PutBytes(ctx, id.String(), data)
	return b.explain("putting", id, err)
}

// Delete takes away what is under a blob's name.
func (b *Blobs) Delete(ctx context.Context, id blobnet.ID) error {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return b.explain("deleting", id, b.bucket.Delete(ctx, id.String()))
}

// begin waits for a turn and bounds it.
func (b *Blobs) begin(ctx context.Context) (context.Context, func(), error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx, nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, blobTimeout)
	return ctx, func() { cancel(); <-b.turn }, nil
}

func (b *Blobs) explain(what string, id blobnet.ID, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s blob %s: %w in %s", what, id.Short(), blobnet.ErrNotFound, b.name)
	case errors.Is(err, jetstream.ErrDigestMismatch), errors.Is(err, blobnet.ErrCorrupt), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s blob %s: %w in %s", what, id.Short(), blobnet.ErrCorrupt, b.name)
	}
	return explain(fmt.Errorf("%s blob %s: %s: %w", what, id.Short(), b.name, err))
}
