package natsbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
	c      *Conn
	bucket jetstream.ObjectStore
	of     string // the bucket's own name
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
	return &Blobs{c: c, bucket: bucket, of: name, name: "nats:" + name, turn: make(chan struct{}, blobsAtOnce)}, nil
}

// Name names the bucket, for who fetches from it.
func (b *Blobs) Name() string { return b.name }

// Who may write to the bucket writes what an object is said to be, too: a link to
// itself, the parts of another, all parts there are. So nothing is done by it that
// nats.go would do: it follows links, and purges the parts of what is replaced.

func (b *Blobs) stream() string { return "OBJ_" + b.of }

// said is the subject of what an object is said to be.
func (b *Blobs) said(id blobnet.ID) string {
	return "$O." + b.of + ".M." + base64.URLEncoding.EncodeToString([]byte(id.String()))
}

// parts is the subject of the parts of an object.
func (b *Blobs) parts(nuid string) string { return "$O." + b.of + ".C." + nuid }

// info is what is said of a blob, if that can be true; else ErrCorrupt or ErrTooLarge.
func (b *Blobs) info(ctx context.Context, id blobnet.ID) (*jetstream.ObjectInfo, error) {
	info, err := b.bucket.GetInfo(ctx, id.String())
	switch {
	case errors.Is(err, jetstream.ErrBadObjectMeta):
		return nil, blobnet.ErrCorrupt
	case err != nil:
		return nil, err
	case info.Opts != nil && info.Opts.Link != nil, info.NUID == "", !validToken(strings.ToLower(info.NUID), 64), info.Digest != objectDigest(id):
		return nil, blobnet.ErrCorrupt
	case info.Size > blobnet.MaxBlobSize: // what comes is bounded, too
		return nil, fmt.Errorf("%w: %d bytes", blobnet.ErrTooLarge, info.Size)
	}
	return info, nil
}

// Get appends a blob to dst, as blobnet.Source says. What lies under its name and is
// another, or less than the store says, is ErrCorrupt, and what is too large for a blob
// ErrTooLarge.
func (b *Blobs) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return dst, err
	}
	defer done()
	info, err := b.info(ctx, id)
	if err != nil {
		return dst, b.explain("getting", id, err)
	}
	n := len(dst)
	data, err := b.read(ctx, info, slices.Grow(dst, int(info.Size)))
	if err == nil && blobnet.Sum(data[n:]) != id {
		err = blobnet.ErrCorrupt
	}
	if err != nil {
		return dst, b.explain("getting", id, err)
	}
	return data, nil
}

// read appends the parts of an object.
func (b *Blobs) read(ctx context.Context, info *jetstream.ObjectInfo, data []byte) ([]byte, error) {
	js, err := b.c.nc.JetStream()
	if err != nil {
		return nil, err
	}
	sub, err := js.SubscribeSync(b.parts(info.NUID), nats.OrderedConsumer(), nats.BindStream(b.stream()), nats.Context(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	pending, err := sub.InitialConsumerPending()
	for left := info.Size; err == nil && left > 0; {
		if pending == 0 {
			return nil, blobnet.ErrCorrupt
		}
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil || uint64(len(m.Data)) > left {
			return nil, blobnet.ErrCorrupt
		}
		data = append(data, m.Data...)
		left -= uint64(len(m.Data))
		pending = meta.NumPending
	}
	return data, err
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
			_, err = b.info(ctx, id)
			has[i] = err == nil
			for _, none := range []error{jetstream.ErrObjectNotFound, blobnet.ErrCorrupt, blobnet.ErrTooLarge} {
				if errors.Is(err, none) {
					return nil
				}
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
	return b.explain("putting", id, b.put(ctx, id, data))
}

const (
	partSize    = 128 << 10 // of a blob in one message
	partsAtOnce = 8         // that wait for their acknowledgement, of each blob
)

func (b *Blobs) put(ctx context.Context, id blobnet.ID, data []byte) error {
	info := jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: id.String(), Opts: &jetstream.ObjectMetaOptions{ChunkSize: partSize}},
		Bucket:     b.of, NUID: rand.Text(), Size: uint64(len(data)), Digest: objectDigest(blobnet.Sum(data)),
	}
	err := func() error {
		for some := range slices.Chunk(data, partsAtOnce*partSize) {
			var sent []jetstream.PubAckFuture
			for part := range slices.Chunk(some, partSize) {
				f, err := b.c.js.PublishAsync(b.parts(info.NUID), part, jetstream.WithExpectStream(b.stream()))
				if err != nil {
					return err
				}
				info.Chunks++
				sent = append(sent, f)
			}
			for _, f := range sent {
				select {
				case <-f.Ok():
				case err := <-f.Err():
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		said, err := json.Marshal(info)
		if err != nil {
			return err
		}
		m := &nats.Msg{Subject: b.said(id), Data: said, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}}
		_, err = b.c.js.PublishMsg(ctx, m, jetstream.WithExpectStream(b.stream()))
		return err
	}()
	if err != nil && info.Chunks > 0 {
		_ = b.purge(ctx, b.parts(info.NUID)) // if that fails they go by age
	}
	return err
}

// Delete takes away what is under a blob's name. Its parts, which may be those of
// another, go by age.
func (b *Blobs) Delete(ctx context.Context, id blobnet.ID) error {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return b.explain("deleting", id, b.purge(ctx, b.said(id)))
}

func (b *Blobs) purge(ctx context.Context, subject string) error {
	stream, err := b.c.js.Stream(ctx, b.stream())
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
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
	case errors.Is(err, blobnet.ErrTooLarge):
		return fmt.Errorf("%s blob %s from %s: %w", what, id.Short(), b.name, err)
	case errors.Is(err, blobnet.ErrCorrupt):
		return fmt.Errorf("%s blob %s: %w in %s", what, id.Short(), blobnet.ErrCorrupt, b.name)
	}
	return explain(fmt.Errorf("%s blob %s: %s: %w", what, id.Short(), b.name, err))
}
