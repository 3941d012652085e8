package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// ErrVoids: a root would take releases out of the view that may have been
// published after it was drafted.
var ErrVoids = errors.New("releases would not count any more")

// Voids returns ErrVoids if a draft ends a log before where it ends here, and
// says which releases that is about. The root that is in force voids nothing
// more.
func (p *Publisher) Voids(ctx context.Context, d channel.RootDraft) error {
	info, err := p.cfg.Ledger.Channel(ctx, d.Channel)
	if err != nil {
		return err
	}
	for _, v := range d.Root.Revoked {
		log := logOf(info, v.Key)
		if old, ok := info.Root.RevokedKey(v.Key); ok && old.Seq <= v.Seq || log.Seq <= v.Seq {
			continue
		}
		which := fmt.Sprintf("release %d", log.Seq)
		if log.Seq > v.Seq+1 {
			which = fmt.Sprintf("releases %d to %d", v.Seq+1, log.Seq)
		}
		return fmt.Errorf("%w: %s of key %s, the last of %s, since the draft names %d as its last good one", ErrVoids, which, v.Key, log.Issued, v.Seq)
	}
	return nil
}
