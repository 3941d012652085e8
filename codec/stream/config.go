package stream

import (
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
)

// Source gives blobs and verified parts of them; a *fetch.Swarm is one.
//
// Both append to dst and return the extended slice, as blobnet.Source and
// blobnet.Ranger say of Get and GetRange, with the same errors. Requests for one
// blob at the same time should share what is transferred. Both end soon after
// ctx, and are called from many goroutines.
type Source interface {
	Fetch(ctx context.Context, w fetch.Want, dst []byte) ([]byte, error)
	FetchRange(ctx context.Context, w fetch.Want, offset, length int, dst []byte) ([]byte, error)
}

// Config says where a File's blobs come from and how much is fetched ahead.
type Config struct {
	// Source gives the blobs. It must not be nil.
	Source Source
	// Rebuild, if not nil, is asked for a blob that Source has not
	// (blobnet.ErrNotFound): an erasure.Source, say.
	Rebuild blobnet.Source
	// Ahead is how long what is fetched ahead of a Reader lasts at the rate at
	// which it reads. If zero, 10 seconds.
	Ahead time.Duration
	// MinAhead and MaxAhead bound that in bytes, once a Reader has read as
	// much. If zero, 1 MiB and 32 MiB.
	MinAhead, MaxAhead int
	// Cache is how many bytes of opened chunks are kept for another read
	// beside those that are being read or lie ahead. If zero, 8 MiB.
	Cache int
	// Memory bounds the bytes of opened chunks of which some were fetched
	// ahead: nothing more is when they are as many, however many Readers there
	// are. If zero, MaxAhead + Cache + 4 MiB. A read itself always gets the
	// chunk that it needs. Beside its chunk each request under way holds as
	// many sealed bytes as it asked for: at worst, everything twice.
	Memory int
}

func (c *Config) validate() error {
	if c.Source == nil {
		return errors.New("stream: config without a source")
	}
	for _, n := range []int{c.MinAhead, c.MaxAhead, c.Cache, c.Memory, int(c.Ahead)} {
		if n < 0 {
			return errors.New("stream: config has a negative limit")
		}
	}
	if c.Ahead == 0 {
		c.Ahead = 10 * time.Second
	}
	for _, d := range []struct {
		n  *int
		to int
	}{{&c.MinAhead, 1 << 20}, {&c.MaxAhead, 32 << 20}, {&c.Cache, 8 << 20}} {
		if *d.n == 0 {
			*d.n = d.to
		}
	}
	c.MinAhead = min(c.MinAhead, c.MaxAhead)
	if c.Memory == 0 {
		c.Memory = c.MaxAhead + c.Cache + 4<<20
	}
	return nil
}
