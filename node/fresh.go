package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

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
