package node

import (
	"context"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/seq"
	"github.com/anonymous-media-library/aml/mirror/kept"
)

// What is at stake when a member lets go of a release: all of it that is here, whether
// that is all there is or not. Others may have nothing but the list of it.

// proofs is how many blobs of a release an owner has to give.
const proofs = 4

// stake is what is here of a release, and which of some members say that they have all
// of that.
type stake struct {
	some    bool // any blob of it is known
	whole   bool // all of it is here
	pinned  bool // of what is here something is kept, and by nothing else in this round
	lost    bool // what is kept of it cannot be listed any more
	holders map[string]*exchange.Peer

	// contents are a choice of what is here, named of those that the manifest names
	// by itself: whoever has the manifest knows that he will be asked for them.
	contents, named *copies.Sample[blobnet.ID]
}

// atStake looks at what is here of a release, and asks members for each blob of that.
func (m *mirroring) atStake(ctx context.Context, r catalog.Release, members map[string]*exchange.Peer) (stake, error) {
	h := stake{holders: members, contents: copies.NewSample[blobnet.ID](proofs), named: copies.NewSample[blobnet.ID](proofs)}
	m.mu.Lock()
	round := m.round
	m.mu.Unlock()
	named := namedBy(r)
	var all bool
	h.whole = true
	for ids, err := range seq.Batches(m.listed(ctx, r, &all), batch) {
		if err != nil {
			return h, err
		}
		has, err := m.n.blobs.Has(ctx, ids...)
		if err != nil {
			return h, err
		}
		var here []blobnet.ID
		for i, id := range ids {
			switch {
			case !has[i]:
				h.whole = false
				continue
			case named[id]:
				h.named.Add(id)
			default:
				h.contents.Add(id)
			}
			here = append(here, id)
		}
		if h.some = h.some || len(ids) > 0; len(here) == 0 {
			continue
		}
		if !h.pinned {
			_, older, err := m.ledger.Behind(ctx, kept.Of(m.id), round, here...)
			if err != nil {
				return h, err
			}
			h.pinned = len(older) > 0
		}
		h.holders = having(ctx, h.holders, here, false)
	}
	h.whole = h.whole && all
	var err error
	if !all && h.some {
		h.lost, err = m.lost(ctx, r)
	}
	return h, err
}

// toProve are blobs that a member cannot foresee, as far as there are such. Of few it is
// all of them: who has half of them gives none in place of the other half.
func (h *stake) toProve() []blobnet.ID {
	ids := h.contents.Items()
	return append(ids[:len(ids):len(ids)], h.named.Items()[:min(proofs-len(ids), len(h.named.Items()))]...)
}

// proved reports whether a member gives blobs that it says it has.
func (m *mirroring) proved(ctx context.Context, p *exchange.Peer, ids []blobnet.ID) bool {
	limited, cancel := context.WithTimeout(ctx, memberHasTime)
	defer cancel()
	for _, id := range ids {
		if err := copies.Prove(limited, m.n.blobs, p, id); err != nil {
			m.n.log.Debug("a member's copy", "peer", p.ID(), "error", err)
			return false
		}
	}
	return true
}

// namedBy are the blobs that a manifest names by itself.
func namedBy(r catalog.Release) map[blobnet.ID]bool {
	named := map[blobnet.ID]bool{}
	if r.Ref != nil {
		named[r.Ref.ID] = true
	}
	if r.Manifest.Inventory != nil {
		named[*r.Manifest.Inventory] = true
	}
	if len(r.Manifest.Sealed) > 0 {
		if s, err := channel.DecodeSealed(r.Manifest.Sealed); err == nil {
			named[s.Keyring] = true
		}
	}
	return named
}

// lost reports of a release that cannot be listed in full here whether it could once: what
// of it is kept is not known then. An inventory is kept after it was read, and of the rest
// it is known for as long as this runs.
func (m *mirroring) lost(ctx context.Context, r catalog.Release) (bool, error) {
	m.mu.Lock()
	listed := m.lists.has(r.Position)
	m.mu.Unlock()
	top := r.Manifest.Inventory
	if listed || top == nil {
		return listed, nil
	}
	has, err := m.n.blobs.Has(ctx, *top)
	if err != nil || has[0] {
		return false, err
	}
	fresh, err := m.ledger.New(ctx, kept.Of(m.id), *top)
	return len(fresh) == 0, err
}
