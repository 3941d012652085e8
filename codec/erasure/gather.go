package erasure

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// gather gets as many blobs of s from src as are needed to make all others,
// those at the places in lost left out. It asks for extra more than needed at
// first, for another whenever one fails or nothing came for as long as slow (if
// that is not 0), and cancels the rest once it has enough; it returns when all
// have ended. The error is a *LostError if there are
// too few.
func gather(ctx context.Context, src blobnet.Source, s codec.Stripe, lost map[int]bool, extra int, slow time.Duration) ([][]byte, error) {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ask []int // places in the order in which they are asked
	all := members(s)
	for i, m := range all {
		if !m.ID.IsZero() && !lost[i] {
			ask = append(ask, i)
		}
	}
	type answer struct {
		place int
		blob  []byte
		err   error
	}
	answers := make(chan answer)
	var late <-chan time.Time // nil if slow is 0
	if slow > 0 {
		timer := time.NewTicker(slow)
		defer timer.Stop()
		late = timer.C
	}
	running, have, need := 0, 0, len(s.Data)
	shards := make([][]byte, len(all))
	var cause error
	for {
		for have < need && parent.Err() == nil && len(ask) > 0 && running < need-have+extra {
			place := ask[0]
			ask = ask[1:]
			running++
			go func() {
				blob, err := src.Get(ctx, all[place].ID, nil)
				if err == nil && len(blob) != all[place].Size {
					err = fmt.Errorf("blob %s of a stripe has %d bytes, want %d: %w", all[place].ID.Short(), len(blob), all[place].Size, codec.ErrIndex)
				}
				answers <- answer{place, blob, err}
			}()
		}
		if running == 0 {
			break
		}
		var a answer
		select {
		case a = <-answers:
		case <-late:
			extra++
			continue
		}
		running--
		if a.err == nil {
			shards[a.place] = a.blob
			if have++; have >= need {
				cancel()
			}
		} else if have < need {
			cause = a.err
		}
	}
	if err := parent.Err(); err != nil && have < need {
		return nil, err
	}
	if have < need {
		return nil, &LostError{Stripe: s, Here: have, Cause: cause}
	}
	return shards, nil
}
