// Package mirrors3 is a bundled plugin that keeps sealed blobs in a bucket of a
// server that speaks S3. A blob is the object ab/cd/<hex> below the prefix, as in
// aml's own store and in mirror-fs.
//
// An object is there whole or not at all: each blob is one put, whose bytes the
// server checks against the signed SHA-256, and one that is there is not replaced.
// What is read is checked; an object that was damaged counts as missing and is
// deleted, so that it is put again. Each call has a deadline, and what comes from
// the server is bounded; its words are not repeated, only its codes.
package mirrors3

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // plugin.yaml
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

const (
	maxBlob  = 2<<20 + 64 // how large a blob may be
	maxTries = 3          // of one request, where the server is busy or the line broke
	atOnce   = 16         // calls at once, each with a blob or two in memory
	// patience of one call, less than that of the host, so that the error says what
	// was waited for.
	patience = 25 * time.Second
)

// New returns the plugin.
func New() sdk.Plugin {
	m := &mirror{patience: patience, slots: make(chan struct{}, atOnce)}
	return sdk.Plugin{ID: "mirror-s3", Version: "1.0.0", Configure: m.configure, Mirror: m}
}

// mirror is what configure has set, read by many goroutines at once.
type mirror struct {
	settings
	s3       minio.Core
	patience time.Duration
	slots    chan struct{} // holds one for each call

	// plain: the server does not know puts that depend on what is there.
	plain atomic.Bool
}

// begin waits for a slot and starts the clock of a call.
func (m *mirror) begin(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.patience, fmt.Errorf("no answer after %v", m.patience))
	select {
	case m.slots <- struct{}{}:
		return ctx, func() { <-m.slots; cancel() }, nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		cancel()
		return nil, nil, fmt.Errorf("%s: %d calls are under way: %w", m.endpoint.Host, atOnce, err)
	}
}

// key is the name of a blob's object.
func (m *mirror) key(id [32]byte) string {
	name := hex.EncodeToString(id[:])
	return path.Join(m.prefix, name[:2], name[2:4], name)
}

// Put is of sdk.Mirror.
func (m *mirror) Put(ctx context.Context, id [32]byte, _ int64, data io.Reader) error {
	ctx, end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	blob, err := io.ReadAll(io.LimitReader(data, maxBlob+1))
	if err != nil {
		return err
	}
	if len(blob) > maxBlob || sha256.Sum256(blob) != id {
		return errors.New("what comes is not that blob")
	}
	if has, err := m.has(ctx, id); err != nil || has {
		return err
	}
	err = m.put(ctx, id, blob, !m.plain.Load())
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented && m.plain.CompareAndSwap(false, true) {
		err = m.put(ctx, id, blob, false)
	}
	switch minio.ToErrorResponse(err).Code {
	case minio.PreconditionFailed, "ConditionalRequestConflict": // another has put it meanwhile, or does so
		return nil
	}
	return m.explain(ctx, err)
}

func (m *mirror) put(ctx context.Context, id [32]byte, blob []byte, conditional bool) error {
	// Without sums made on the way: the whole blob's is in the signature.
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, DisableContentSha256: true}
	if conditional {
		opts.SetMatchETagExcept("*")
	}
	_, err := m.s3.PutObject(ctx, m.bucket, m.key(id), bytes.NewReader(blob), int64(len(blob)), "", hex.EncodeToString(id[:]), opts)
	return err
}

// Has is of sdk.Mirror. It believes an object's size; Get checks what is in it.
func (m *mirror) Has(ctx context.Context, id [32]byte) (bool, error) {
	ctx, end, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	return m.has(ctx, id)
}

func (m *mirror) has(ctx context.Context, id [32]byte) (bool, error) {
	info, err := m.s3.StatObject(ctx, m.bucket, m.key(id), minio.StatObjectOptions{})
	if missing(err) { // an answer to HEAD has no body, so a bucket that is not there looks the same
		return false, nil
	}
	return err == nil && info.Size > 0 && info.Size <= maxBlob, m.explain(ctx, err)
}

// Get is of sdk.Mirror.
func (m *mirror) Get(ctx context.Context, id [32]byte) (io.ReadCloser, error) {
	ctx, end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	r, _, _, err := m.s3.GetObject(ctx, m.bucket, m.key(id), minio.GetObjectOptions{})
	if missing(err) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	defer r.Close()
	blob, err := io.ReadAll(io.LimitReader(r, maxBlob+1))
	if err != nil {
		return nil, m.explain(ctx, err)
	}
	if sha256.Sum256(blob) != id {
		return nil, errors.Join(fs.ErrNotExist, m.remove(ctx, id)) // so that it is put again
	}
	return io.NopCloser(bytes.NewReader(blob)), nil
}

// Delete is of sdk.Mirror.
func (m *mirror) Delete(ctx context.Context, id [32]byte) error {
	ctx, end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return m.remove(ctx, id)
}

func (m *mirror) remove(ctx context.Context, id [32]byte) error {
	err := m.s3.RemoveObject(ctx, m.bucket, m.key(id), minio.RemoveObjectOptions{})
	if missing(err) {
		return fs.ErrNotExist
	}
	return m.explain(ctx, err)
}
