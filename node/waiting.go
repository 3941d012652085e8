package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// waiting is one WaitCopies.
type waiting struct {
	n     *Node
	net   *network
	r     catalog.Release
	emit  func(any)
	from  *candidates
	total int // blobs of the release

	state map[peer.ID]*holding // touched by run alone
	res   WaitCopiesResult     // the same
	told  CopiesEvent
}

// holding is how far one peer is.
type holding struct {
	next  func() ([]blobnet.ID, error, bool) // batches of the release's blobs; nil: not begun
	stop  func()
	batch []blobnet.ID // the first that it lacks something of
	has   int          // blobs of the batches before it
	part  int          // of batch
	short bool         // it has lacked something in this walk
	whole bool         // it had everything in one walk
	proof *copies.Sample[blobnet.ID]

	asking bool
	over   bool // it counts, or it has lied
	due    time.Time
	pause  time.Duration
}

// blobs are those that reading the release needs. Each is listed once in an honest
// release, as one's own is.
func (w *waiting) blobs(ctx context.Context) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		if ref := w.r.Ref; ref != nil && !yield(ref.ID, nil) {
			return
		}
		if w.r.Body == nil {
			if id := w.r.Manifest.Inventory; id != nil && yield(*id, nil) {
				for id, err := range codec.Inventory(ctx, w.n.blobs, *id) {
					if !yield(id, err) || err != nil {
						return
					}
				}
			}
			return
		}
		for _, e := range w.r.Body.Entries {
			for id, err := range codec.Needed(ctx, w.n.blobs, e.File()) {
				if !yield(id, err) || err != nil {
					return
				}
			}
		}
	}
}

func (w *waiting) count(ctx context.Context) (total int, err error) {
	for _, err := range w.blobs(ctx) {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("%w: what lists the blobs of the release has to be here", err)
		}
		if err != nil {
			return 0, err
		}
		total++
	}
	return total, nil
}

// batches cuts the release into what is asked at once. A batch is not touched after
// it was given out.
func (w *waiting) batches(ctx context.Context) iter.Seq2[[]blobnet.ID, error] {
	return func(yield func([]blobnet.ID, error) bool) {
		var part []blobnet.ID
		for id, err := range w.blobs(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if part = append(part, id); len(part) == batch {
				if !yield(part, nil) {
					return
				}
				part = nil
			}
		}
		if len(part) > 0 {
			yield(part, nil)
		}
	}
}

// run asks everybody again and again, until there are enough, the time is over, or
// news of the channel take the release back.
func (w *waiting) run(outer context.Context, news <-chan struct{}, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(outer, timeout)
	defer cancel()
	var work sync.WaitGroup
	defer func() {
		cancel()
		work.Wait()
		for _, h := range w.state {
			if h.stop != nil {
				h.stop()
			}
		}
	}()
	work.Go(func() {
		every(ctx, []time.Duration{time.Second, findCopiesEach}, func() { w.from.gather(ctx, w.r.Channel, w.keys()...) })
	})
	answers := make(chan func(), maxAsked)
	asking := 0
	tick := time.NewTicker(firstAgain / 3)
	defer tick.Stop()
	for w.res.Have < w.res.Wanted {
		w.from.connected(w.r.Channel)
		for _, id := range w.from.list() {
			if asking == maxAsked {
				break
			}
			h := w.state[id]
			if h == nil {
				h = &holding{pause: firstAgain}
				w.state[id] = h
			}
			if h.asking || h.over || time.Now().Before(h.due) {
				continue
			}
			h.asking = true
			asking++
			work.Go(func() {
				settle := w.ask(ctx, id, h)
				select {
				case answers <- settle:
				case <-ctx.Done():
				}
			})
		}
		select {
		case settle := <-answers:
			asking--
			settle()
			w.tell()
		case <-tick.C:
		case <-news:
			if why, err := w.takenBack(outer); err != nil || why != "" {
				w.res.Retracted = why
				return err
			}
		case <-ctx.Done():
			if outer.Err() != nil {
				return context.Cause(outer)
			}
			w.res.TimedOut = true
			return nil
		}
	}
	return nil
}

func (w *waiting) keys() []tracker.Key {
	var out []tracker.Key
	if w.r.Body != nil {
		for _, e := range w.r.Body.Entries[:min(len(w.r.Body.Entries), maxFoundBy)] {
			out = append(out, tracker.Key(e.Root.ID))
		}
	}
	return out
}

// ask asks one peer for what it has since it was asked last, and for proofs if that
// is everything. h is its own until the function that it returns is called, which
// takes note of what came of it.
func (w *waiting) ask(ctx context.Context, id peer.ID, h *holding) (settle func()) {
	limited, cancel := context.WithTimeout(ctx, askedTime)
	defer cancel()
	p := w.net.exchange.Peer(id)
	defer p.Close()
	before, proved := h.has+h.part, 0
	err := w.advance(limited, ctx, p, h)
	if err == nil && h.whole {
		for _, blob := range h.proof.Items() {
			if err = copies.Prove(limited, w.n.blobs, p, blob); err != nil {
				break
			}
			proved++
		}
	}
	return func() {
		h.asking = false
		switch {
		case errors.Is(err, copies.ErrLied):
			h.over = true
			w.emit(ErrorEvent{Event: "error", Channel: w.r.Channel.String(), Message: fmt.Sprintf("peer %s does not count: %v", id, err)})
			return
		case err == nil && h.whole:
			h.over = true
			w.counts(id, proved)
			return
		case h.has+h.part > before:
			h.pause = firstAgain
		default:
			h.pause = min(2*h.pause, lastAgain)
		}
		if err != nil {
			w.n.log.Debug("asking for copies", "peer", id, "error", err)
		}
		h.due = time.Now().Add(h.pause)
	}
}

// advance goes on through the release as far as the peer has it. The walk lives
// as long as walk does, since it goes on the next time. One that had to wait for
// something may have lost meanwhile what it had at first, so it is asked for
// everything once more.
func (w *waiting) advance(ctx, walk context.Context, p copies.Peer, h *holding) error {
	for !h.whole {
		if h.next == nil {
			h.next, h.stop = iter.Pull2(w.batches(walk))
			h.has, h.short, h.proof = 0, false, copies.NewSample[blobnet.ID](proofsOfCopy)
		}
		if h.batch == nil {
			ids, err, ok := h.next()
			if err != nil {
				return err
			}
			if !ok {
				h.whole = !h.short
				h.next = nil
				continue
			}
			h.batch = ids
		}
		has, err := p.Have(ctx, h.batch)
		if err != nil {
			return err
		}
		h.part = 0
		for _, ok := range has {
			if ok {
				h.part++
			}
		}
		if h.part < len(has) {
			h.short = true
			return nil
		}
		h.part = 0
		h.has += len(h.batch)
		for _, id := range h.batch {
			h.proof.Add(id)
		}
		h.batch = nil
	}
	return nil
}

// counts takes note of a peer that has everything.
func (w *waiting) counts(id peer.ID, proved int) {
	e := CopyEvent{Event: "copy", Channel: w.r.Channel.String(), Log: w.r.Log, Seq: w.r.Seq, Peer: id.String(), Blobs: w.total, Proved: proved}
	e.Network, e.Class = w.net.networkOf(id)
	w.res.Copies = append(w.res.Copies, e)
	w.res.Have++
	nets := map[string]bool{}
	for _, c := range w.res.Copies {
		nets[c.Network] = true
	}
	w.res.Networks = len(nets)
	w.emit(e)
}

// tell says how far it is, if that has changed.
func (w *waiting) tell() {
	now := CopiesEvent{Event: "spreading", Wanted: w.res.Wanted, Have: w.res.Have}
	for _, h := range w.state {
		if h.asking || h.over || h.has+h.part == 0 {
			continue
		}
		now.Partly++
		now.Percent = max(now.Percent, 100*(h.has+h.part)/w.total)
	}
	if now != w.told {
		w.told = now
		w.emit(now)
	}
}
