package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

const (
	// askedTime bounds what is asked of one peer, proofs included.
	askedTime = 10 * time.Second
	// Of each release proofsOfRelease blobs are really asked for, and of one peer
	// no more than maxProofs; where a blob is not here, that is all of it, so no
	// more than maxWholes of those.
	proofsOfRelease, maxProofs, maxWholes = 2, 24, 4
)

// check is one look at who has copies.
type check struct {
	n    *Node
	net  *network
	info catalog.Info
	wait time.Duration
	from *candidates

	questions []question
	ids       []blobnet.ID // of all questions, one behind the other

	mu       sync.Mutex // guards what follows; held for memory work alone
	answers  []answer
	answered int
}

// answer is what one peer has.
type answer struct {
	peer    peer.ID
	has     []bool // of ids
	proved  []int  // blobs, of each question
	trouble error  // why something was not proved
	lie     error
}

func (n *Node) newCheck(net *network, info catalog.Info, wait time.Duration) *check {
	return &check{n: n, net: net, info: info, wait: wait, from: newCandidates(net)}
}

// run looks at the releases that list gives.
func (c *check) run(outer context.Context, list func(context.Context, func(catalog.Release) error) error) (CopiesResult, error) {
	ctx, cancel := context.WithTimeout(outer, c.wait)
	defer cancel()
	var work sync.WaitGroup
	defer func() { cancel(); work.Wait() }()
	work.Go(func() {
		defer c.from.end()
		c.from.gather(ctx, c.info.ID)
	})
	src := anyone{c.n.blobs, c.from}
	// What there is may be endless: half of the time is for asking.
	listing, enough := context.WithTimeout(ctx, c.wait/2)
	defer enough()
	err := list(listing, func(r catalog.Release) error {
		q, err := c.n.question(listing, r, src)
		if err == nil && (q.row.Asked > 0 || q.row.Note != "") {
			c.questions = append(c.questions, q)
			c.ids = append(c.ids, q.ids...)
		}
		return err
	})
	if outer.Err() != nil {
		return CopiesResult{}, context.Cause(outer)
	}
	cut := err != nil && listing.Err() != nil
	if err != nil && !cut {
		return CopiesResult{}, err
	}
	if len(c.ids) > 0 {
		c.askAll(ctx)
	}
	if outer.Err() != nil {
		return CopiesResult{}, context.Cause(outer)
	}
	return c.result(cut || ctx.Err() != nil), nil
}

// askAll asks every candidate as it is found, some at a time.
func (c *check) askAll(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	turn := make(chan struct{}, maxAsked)
	for i := 0; ; i++ {
		p, ok := c.from.at(ctx, i)
		if !ok {
			return
		}
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		group.Go(func() {
			defer func() { <-turn }()
			a, ok := c.ask(ctx, p)
			c.mu.Lock()
			defer c.mu.Unlock()
			if ok {
				c.answered++
				c.answers = append(c.answers, a)
			}
		})
	}
}

// ask asks one peer what it has, and for a few blobs of that.
func (c *check) ask(ctx context.Context, id peer.ID) (answer, bool) {
	ctx, cancel := context.WithTimeout(ctx, askedTime)
	defer cancel()
	p := c.net.exchange.Peer(id)
	defer p.Close()
	has, err := p.Have(ctx, c.ids)
	if err != nil {
		c.n.log.Debug("asking who has copies", "peer", id, "error", err)
		return answer{}, false
	}
	a := answer{peer: id, has: has, proved: make([]int, len(c.questions))}
	wholes, proofs, from := maxWholes, maxProofs, 0
	for k, q := range c.questions {
		has := a.has[from : from+len(q.ids)]
		from += len(q.ids)
		for _, i := range claimed(has, proofsOfRelease) {
			here, err := c.n.blobs.Has(ctx, q.ids[i])
			if proofs == 0 || err != nil || !here[0] && wholes == 0 {
				break
			}
			if proofs--; !here[0] {
				wholes--
			}
			switch err := copies.Prove(ctx, c.n.blobs, p, q.ids[i]); {
			case errors.Is(err, copies.ErrLied):
				a.lie = err
				return a, true
			case err != nil:
				a.trouble = err
			default:
				a.proved[k]++
			}
		}
	}
	return a, true
}

// claimed are at most most of the places that are true, any of them with the same
// chance.
func claimed(has []bool, most int) []int {
	s := copies.NewSample[int](most)
	for i, ok := range has {
		if ok {
			s.Add(i)
		}
	}
	out := s.Items()
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// result counts the answers.
func (c *check) result(cut bool) CopiesResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := CopiesResult{
		Channel: c.info.ID.String(), Address: address(c.info.ID), Title: titleIn(c.info), Checked: channel.TimeOf(time.Now()), Current: true, Cut: cut,
		Found: len(c.from.list()), Answered: c.answered, Releases: []ReleaseCopies{}, Holders: []HolderInfo{}, Liars: []LiarInfo{},
	}
	slices.SortFunc(c.answers, func(a, b answer) int { return cmp.Compare(a.peer, b.peer) })
	infos := make([]HolderInfo, len(c.answers))
	for i, a := range c.answers {
		infos[i].Peer = a.peer.String()
		infos[i].Network, infos[i].Class = c.net.networkOf(a.peer)
		if a.trouble != nil {
			infos[i].Unproved = a.trouble.Error()
		}
		if a.lie != nil {
			said := 0
			for _, ok := range a.has {
				if ok {
					said++
				}
			}
			res.Liars = append(res.Liars, LiarInfo{Peer: infos[i].Peer, Class: infos[i].Class, Network: infos[i].Network, Said: said, Why: a.lie.Error()})
		}
	}
	from := 0
	for k, q := range c.questions {
		var holders []copies.Holder
		for i, a := range c.answers {
			if a.lie != nil {
				continue
			}
			has := a.has[from : from+len(q.ids)]
			holders = append(holders, copies.Holder{Peer: infos[i].Peer, Network: infos[i].Network, Has: has, Proved: a.proved[k] > 0})
			infos[i].Proved += a.proved[k]
			switch {
			case len(has) > 0 && !slices.Contains(has, false):
				infos[i].Whole++
			case slices.Contains(has, true):
				infos[i].Partly++
			}
		}
		from += len(q.ids)
		res.Releases = append(res.Releases, q.counted(holders))
	}
	for i, h := range infos {
		if c.answers[i].lie == nil && h.Whole+h.Partly > 0 {
			res.Holders = append(res.Holders, h)
		}
	}
	slices.SortStableFunc(res.Holders, func(a, b HolderInfo) int {
		return cmp.Or(cmp.Compare(b.Whole, a.Whole), cmp.Compare(b.Partly, a.Partly))
	})
	return res
}

// counted is the question's row with what holders have.
func (q *question) counted(holders []copies.Holder) ReleaseCopies {
	count, row := copies.Tally(len(q.ids), holders), q.row
	row.Copies, row.Proved, row.Networks = count.All, count.Proved, count.Networks
	for _, n := range slices.Sorted(maps.Keys(count.Copies)) {
		row.Spread = append(row.Spread, SpreadInfo{Copies: n, Blobs: count.Copies[n]})
	}
	if i := count.Least; i >= 0 {
		row.Weakest = &WeakestInfo{Name: q.files[i], Blob: q.ids[i], Copies: count.LeastCopies, Networks: count.LeastNetworks}
	}
	return row
}

func titleIn(info catalog.Info) string { return cmp.Or(info.Root.Title, info.SealedTitle) }

// copiesOf says of a release alone who has what, within a moment.
func (n *Node) copiesOf(ctx context.Context, net *network, info catalog.Info, r catalog.Release, wait time.Duration) (CopiesResult, error) {
	res, err := n.newCheck(net, info, wait).run(ctx, func(_ context.Context, add func(catalog.Release) error) error { return add(r) })
	if err != nil {
		return res, fmt.Errorf("looking who has copies: %w", err)
	}
	return res, nil
}
