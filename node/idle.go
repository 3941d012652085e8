package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
)

// impatient is ctx that ends, with the error that says who was asked, when those
// who are asked for blobs have given nothing for as long as patience: peers that
// are connected to and say nothing, or take long to refuse, among them. The
// function it returns must be called in the end.
func impatient(ctx context.Context, swarm *fetch.Swarm, patience time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(min(max(patience/20, 10*time.Millisecond), time.Second))
		defer tick.Stop()
		last, since := int64(0), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			came, waits := swarm.Came()
			if came != last || !waits {
				last, since = came, time.Now()
			}
			// The swarm's own error, when there is nobody left to ask, goes first.
			if quiet := time.Since(since); quiet > patience+min(patience/8, time.Second) {
				cancel(swarm.Nobody(quiet.Round(100 * time.Millisecond)))
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// blame is err, which is also blobnet.ErrCorrupt if nobody gave a blob and one of
// those who were asked sent wrong bytes; with nobody to ask it says what to do.
func blame(entries []channel.FileEntry, err error) error {
	var nobody *fetch.NotFoundError
	if !errors.As(err, &nobody) {
		return err
	}
	if len(nobody.Tried) == 0 {
		return fmt.Errorf("%w; name one that has it with --peer", err)
	}
	if slices.ContainsFunc(entries, func(e channel.FileEntry) bool { return e.Root.ID == nobody.ID && e.Depth > 0 }) {
		err = fmt.Errorf("%w; without this blob nothing of the file is found: if it has parity, who has the others makes it again with blob-scrub --repair -i", err)
	}
	for _, t := range nobody.Tried {
		if errors.Is(t.Err, blobnet.ErrCorrupt) {
			return wrongBytes{err}
		}
	}
	return err
}

// wrongBytes is an error that is also blobnet.ErrCorrupt, without saying so in
// its text.
type wrongBytes struct{ error }

func (wrongBytes) Is(target error) bool { return target == blobnet.ErrCorrupt }
func (e wrongBytes) Unwrap() error      { return e.error }
