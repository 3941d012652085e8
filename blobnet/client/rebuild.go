package client

import (
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

// losses is how long blobs are waited for that may be lost.
type losses struct {
	// patience is for one that everybody says they have not, before it is looked
	// whether others can make it.
	patience time.Duration
	// slow is how long it may then take to come before it is made.
	slow time.Duration
}

var usualLosses = losses{time.Second, 5 * time.Second}

// source gives the blobs of one file. Those that nobody gives it makes out of
// others, if the file has parity.
type source struct {
	swarm  hurried
	parity *erasure.Source
	store  blobnet.Store
}

func (c *Client) source(swarm *fetch.Swarm, f codec.File) (*source, error) {
	parity, err := erasure.NewSource(erasure.Config{Source: swarm, File: f, Slow: c.losses.slow})
	if err != nil {
		return nil, err
	}
	return &source{hurried{swarm, c.losses.patience}, parity, c.cfg.Store}, nil
}

// Get implements blobnet.Source. What was made is stored, as what was given is.
func (s *source) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	before := len(dst)
	blob, err := s.swarm.Fetch(ctx, fetch.Want{ID: id, Class: blobnet.Foreground}, dst)
	if err == nil || !errors.Is(err, blobnet.ErrNotFound) {
		return blob, err
	}
	if blob, err = s.parity.Get(ctx, id, dst); err != nil {
		return dst, err
	}
	if has, err := s.store.Has(ctx, id); err == nil && !has[0] {
		_ = s.store.Put(ctx, id, blob[before:]) // a store without room withholds no blob
	}
	return blob, nil
}

// hurried is a swarm for who can do without a blob that all say they have not.
type hurried struct {
	*fetch.Swarm
	patience time.Duration
}

func (h hurried) Fetch(ctx context.Context, w fetch.Want, dst []byte) ([]byte, error) {
	w.Patience = h.patience
	return h.Swarm.Fetch(ctx, w, dst)
}

func (h hurried) FetchRange(ctx context.Context, w fetch.Want, offset, length int, dst []byte) ([]byte, error) {
	w.Patience = h.patience
	return h.Swarm.FetchRange(ctx, w, offset, length, dst)
}
