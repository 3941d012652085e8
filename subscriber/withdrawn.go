package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel/catalog"
)

// whyWithdrawn is why a file of a release that does not count any more goes.
const whyWithdrawn = "a new root of the channel has withdrawn its release"

// withdraw lets go of what releases had brought that a root has voided: those of a
// thief, mostly. What stood under a name before comes back.
func (f *follower) withdraw(ctx context.Context) error {
	gone, err := f.cfg.Ledger.Withdrawn(ctx, f.order.Subscription, f.order.Channel)
	if err != nil || len(gone) == 0 {
		return err
	}
	cursor, err := f.cfg.Ledger.Cursor(ctx, f.order.Subscription, f.order.Channel)
	if err != nil {
		return err
	}
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	a := &application{follower: f, out: out}
	for _, w := range gone {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := a.withdrawOne(ctx, w, cursor); err != nil {
			return fmt.Errorf("withdrawing %q: %w", w.Name, err)
		}
	}
	return out.sync()
}

func (a *application) withdrawOne(ctx context.Context, w catalog.Written, cursor int64) error {
	view, err := a.cfg.Ledger.Entry(ctx, a.order.Channel, w.Name)
	there := err == nil && !view.Removed
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	judged := catalog.Judged{Written: []catalog.Written{w}}
	now := &judged.Written[0]
	if there && view.Size == w.Size && view.SHA256 == w.SHA256 {
		now.Position = view.Position // the very file counts, by another's word
		return a.cfg.Ledger.Record(ctx, a.order.Subscription, a.order.Channel, judged)
	}
	_, info, err := a.out.inspect(w.Path)
	now.Gone = true
	if err == nil && info != nil { // what the user has deleted does not come back as something else
		if err := a.drop(ctx, w, whyWithdrawn); err != nil {
			return err
		}
		a.freed = true
		now.Position = 0
		if there && view.Position <= cursor {
			judged.Position, judged.Passed = view.Position, []catalog.Passed{{Reason: "withdrawn", Again: true}}
		}
	}
	return a.cfg.Ledger.Record(ctx, a.order.Subscription, a.order.Channel, judged)
}
