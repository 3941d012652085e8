package gossip

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/libp2p/go-libp2p/core/peer"
)

// askReconcile asks where the answering end's channels differ from ours, without
// naming them (CHANNELS.md, Reconciliation). The first such request on a stream
// opens, with the asker's half of the salt.
const askReconcile = 8

const (
	reconcileOver  = 256         // channels that are due with one peer, above which they are reconciled first
	maxDiffering   = 256         // channels that differ that one session compares
	maxReconciled  = 8           // sessions of reconciliation answered at once
	reconcileLife  = time.Minute // of the set that is kept to answer one
	reconcileCost  = 64          // of opening one
	reconcileAhead = 8           // questions that are under way at once
)

// question is what a request of kind 8 asks.
type question struct {
	Salt   *reconcile.Half   `cbor:"1,keyasint,omitempty"` // opens
	Ranges []reconcile.Range `cbor:"2,keyasint"`
}

func (q *question) check() bool {
	// Nothing was told yet of which the asker could know more than one range.
	first := q.Salt == nil || len(q.Ranges) == 1 && q.Ranges[0].Bits == 0 && q.Ranges[0].Split > 0
	return first && reconcile.Check(q.Ranges) == nil
}

// told is the one frame that answers a request of kind 8. That an opening is
// declined is said by an empty one.
type told struct {
	Salt   *reconcile.Half  `cbor:"1,keyasint,omitempty"` // the answerer's half, where an opening is answered
	Ranges []reconcile.Told `cbor:"2,keyasint"`           // one for each that was asked for, in their order
}

// decodeTold reads one; what depends on the question is checked by who asked.
func decodeTold(data []byte) (told, error) {
	if len(data) > maxFrame {
		return told{}, fmt.Errorf("answer of %d bytes: %w of %d", len(data), channel.ErrLimit, maxFrame)
	}
	var t told
	if err := dcbor.Unmarshal(data, &t); err != nil {
		return told{}, fmt.Errorf("reading answer: %w: %w", channel.ErrMalformed, err)
	}
	if len(t.Ranges) > reconcile.MaxRanges || t.Salt != nil && len(t.Ranges) != 1 {
		return told{}, fmt.Errorf("answer about %d ranges: %w", len(t.Ranges), channel.ErrMalformed)
	}
	for _, r := range t.Ranges {
		if r.Check() != nil {
			return told{}, fmt.Errorf("answer about a range that cannot be: %w", channel.ErrMalformed)
		}
	}
	return t, nil
}

// States is what a Ledger may do beside: give all channels that are followed or
// owned, each with the digest of its state vector. The list is not changed, and may
// be shared. Without it, channels are compared one by one however many they are.
type States interface {
	States(ctx context.Context) ([]reconcile.Channel, error)
}

// reconciling counts whose reconciliations are being answered.
type reconciling struct {
	mu  sync.Mutex
	now map[peer.ID]bool // guarded by mu
}

// begin takes a place for p, of which each peer has one, or says that there is none.
func (r *reconciling) begin(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now[p] || len(r.now) >= maxReconciled {
		return false
	}
	if r.now == nil {
		r.now = make(map[peer.ID]bool)
	}
	r.now[p] = true
	return true
}

func (r *reconciling) end(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, p)
}

// common are the channels that we follow: what whoever names one is told of anyway.
func (g *Gossip) common(ctx context.Context) ([]reconcile.Channel, error) {
	states, ok := g.cfg.Ledger.(States)
	if !ok {
		return nil, nil
	}
	all, err := states.States(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(all), func(c reconcile.Channel) bool { return g.interests[target{channel: c.ID}] == nil }), nil
}

// mirror is the answering end of a reconciliation on one stream.
type mirror struct {
	// channels are those that may be told of; nil where none may, and the opening is
	// to be declined.
	channels func(context.Context) ([]reconcile.Channel, error)

	set    *reconcile.Set
	opened time.Time
	free   func() // gives back the place that channels took; nil if it took none
}

func (g *Gossip) newMirror(p peer.ID) *mirror {
	m := &mirror{}
	m.channels = func(ctx context.Context) ([]reconcile.Channel, error) {
		if !g.reconciling.begin(p) {
			return nil, nil
		}
		m.free = func() { g.reconciling.end(p) }
		all, err := g.common(ctx)
		return slices.DeleteFunc(all, func(c reconcile.Channel) bool { return !c.Rooted }), err
	}
	return m
}

// close forgets the set: the asker has gone on to something else.
func (m *mirror) close() {
	if m == nil {
		return
	}
	m.set = nil
	if m.free != nil {
		m.free()
		m.free = nil
	}
}

// answer answers one question. A second opening, a question before the first, and one
// that comes too late, end the stream.
func (m *mirror) answer(ctx context.Context, q *question) (told, error) {
	if m == nil || m.channels == nil {
		return told{}, nil
	}
	var out told
	if q.Salt != nil {
		if !m.opened.IsZero() {
			return told{}, fmt.Errorf("a second reconciliation on one stream: %w", channel.ErrLimit)
		}
		m.opened = time.Now()
		all, err := m.channels(ctx)
		if err != nil || len(all) == 0 {
			return told{}, err
		}
		salt := reconcile.Salt{Asker: *q.Salt}
		_, _ = rand.Read(salt.Answerer[:]) // never fails
		m.set, out.Salt = reconcile.NewSet(salt, all), &salt.Answerer
	}
	if m.set == nil || time.Since(m.opened) > reconcileLife {
		return told{}, fmt.Errorf("reconciliation that was not opened, or too long ago: %w", channel.ErrLimit)
	}
	var err error
	if out.Ranges, err = m.set.Answer(q.Ranges); err != nil {
		return told{}, fmt.Errorf("%w: %w", channel.ErrMalformed, err)
	}
	return out, nil
}
