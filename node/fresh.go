package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Currency says how far what is shown of a channel can be relied on. Of one that is
// only listed nothing is claimed: its releases are not here.
type Currency struct {
	Fresh  *bool `json:"fresh,omitempty"`  // a head is in force for every log
	Forked bool  `json:"forked,omitempty"` // two histories were signed, see channel-show
}

// Stale reports whether it is known not to be fresh.
func (c Currency) Stale() bool { return c.Fresh != nil && !*c.Fresh }

func currencyOf(info catalog.Info) Currency {
	out := Currency{Forked: info.Forked}
	if info.HasRoot && info.Reason != catalog.Listed {
		out.Fresh = &info.Fresh
	}
	return out
}

// Freshness says of one channel what its currency means.
type Freshness struct {
	Currency
	Term
}

// Term is how long a channel is fresh, or since when it is not.
type Term struct {
	Until channel.Time `json:"freshUntil,omitzero"` // while it is fresh: when it becomes stale, if no head comes
	Since channel.Time `json:"staleSince,omitzero"` // while it is stale: since then at the latest, where a head or the root ran out
	Held  string       `json:"held,omitempty"`      // of kind update: why followers write none of its files now
}

func freshnessOf(info catalog.Info) Freshness {
	out := Freshness{Currency: currencyOf(info)}
	switch {
	case out.Fresh == nil:
		return out
	case *out.Fresh:
		out.Until = firstEnd(info)
		return out
	}
	_, out.Held = info.Hold()
	if end := firstEnd(info); end <= channel.TimeOf(time.Now()) {
		out.Since = end
	}
	return out
}

// firstEnd is when the first of what makes a channel fresh runs out: its root, and
// the head of each log that may still publish.
func firstEnd(info catalog.Info) channel.Time {
	end := info.Root.Expires
	for _, l := range info.Logs {
		if l.Publishes && l.Head != nil {
			end = min(end, l.Head.Expires)
		}
	}
	return end
}

// currency is that of a channel that may not be known; of a topic there is none.
func (n *Node) currency(ctx context.Context, id channel.ID) (Currency, error) {
	if id.IsZero() {
		return Currency{}, nil
	}
	info, err := n.catalog.Channel(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return Currency{}, nil
	}
	if err != nil {
		return Currency{}, fmt.Errorf("reading whether a channel is fresh: %w", err)
	}
	return currencyOf(info), nil
}
