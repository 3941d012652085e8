package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// PolicyChange is what a request says of a subscription's policy: in this order,
// each of them perhaps nothing.
type PolicyChange struct {
	Reset bool       `json:"reset,omitempty"` // forget what it was
	File  *Document  `json:"file,omitempty"`  // filters.json, in place of what it was
	Flags []Document `json:"flags,omitempty"` // of the same form: what is in them replaces what was
}

// apply changes a policy. Errors are ErrUsage, and say where in which document.
func (c PolicyChange) apply(p policy.Policy) (policy.Policy, error) {
	var err error
	if c.Reset || c.File != nil {
		p = policy.Policy{}
	}
	if c.File != nil {
		if p, err = policy.Parse(c.File.Name, c.File.Text); err != nil {
			return p, badRequest("%w", err)
		}
	}
	for _, f := range c.Flags {
		if p, err = policy.Change(p, f.Name, f.Text); err != nil {
			return p, badRequest("%w", ofFlag(f.Name, err))
		}
	}
	return p, nil
}

// ofFlag is an error in a document that was made of a flag, without its place: there
// is no such line or column.
func ofFlag(name string, err error) error {
	var place *channel.PlaceError
	if errors.As(err, &place) {
		return fmt.Errorf("reading %s: %s", name, strings.TrimPrefix(place.Err.Error(), channel.ErrMalformed.Error()+": "))
	}
	return err
}

// CheckPolicy says what is wrong with a change, as far as that can be known
// without the subscription. It needs no node.
func CheckPolicy(c PolicyChange) error {
	_, err := c.apply(policy.Policy{})
	return err
}

// policyOf reads what the catalogue keeps of a subscription.
func policyOf(sub catalog.Subscription) (policy.Policy, error) {
	if len(sub.Options) == 0 {
		return policy.Policy{}, nil
	}
	p, err := policy.Parse("the stored policy", sub.Options)
	if err != nil {
		return p, fmt.Errorf("subscription to %s: %w; give it another with channel-set --reset", targetOf(sub), err)
	}
	return p, nil
}

// changePolicy puts a change into a subscription.
func changePolicy(sub *catalog.Subscription, c PolicyChange) (changed bool, err error) {
	p, err := policyOf(*sub)
	if err != nil && !c.Reset && c.File == nil {
		return false, err
	}
	if p, err = c.apply(p); err != nil {
		return false, err
	}
	if p.LookUp && sub.Topic == "" {
		return false, badRequest("--look-up goes with a topic")
	}
	text, err := json.Marshal(p)
	if err != nil {
		return false, fmt.Errorf("encoding a policy: %w", err)
	}
	changed = !bytes.Equal(text, sub.Options)
	sub.Options = text
	return changed, nil
}

// looksUp reports whether a topic is looked up instead of listened to. A policy
// that cannot be read may have said so.
func looksUp(sub catalog.Subscription) bool {
	p, err := policyOf(sub)
	return p.LookUp || err != nil
}

// works are what all channels of a subscription share while it is followed.
type works struct {
	mu   sync.Mutex // guards what follows; held for memory work alone
	byID map[string]*work
	line limit.Line // where they stand for downloads
}

// work is a subscription's policy at work.
type work struct {
	options string
	policy  policy.Policy
	share   *limit.Share
	budget  subscriber.Budget
}

// workOf returns the one work of a subscription with these options.
func (n *Node) workOf(sub catalog.Subscription) (*work, error) {
	p, err := policyOf(sub)
	if err != nil {
		return nil, err
	}
	rules, err := p.Compile(time.Local)
	if err != nil {
		return nil, err
	}
	n.works.mu.Lock()
	defer n.works.mu.Unlock()
	if w := n.works.byID[sub.ID]; w != nil && w.options == string(sub.Options) {
		return w, nil
	}
	w := &work{options: string(sub.Options), policy: p, share: limit.NewShare(n.net.download, &n.works.line, p.Priority, rules.Limits)}
	if n.works.byID == nil {
		n.works.byID = map[string]*work{}
	}
	n.works.byID[sub.ID] = w
	return w, nil
}

// end forgets the work of a subscription that has ended.
func (w *works) end(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, id)
}

// titleOf is what a channel is called in the names of files.
func (n *Node) titleOf(ctx context.Context, id channel.ID) string {
	if info, err := n.catalog.Channel(ctx, id); err == nil && info.HasRoot && info.Root.Title != "" {
		return info.Root.Title
	} else if err == nil && info.SealedTitle != "" {
		return info.SealedTitle
	}
	return id.String()
}

const (
	// countTime bounds how long is looked for those who have a file.
	countTime = 15 * time.Second
	// haveTime bounds how long one of them is waited for.
	haveTime = 5 * time.Second
	// maxAsked is how many are asked at a time.
	maxAsked = 16
)

// holders counts who has files of a channel.
type holders struct {
	net *network
	id  channel.ID
}

// CountSources implements subscriber.Sources: it asks those who follow the
// channel, and those that the tracker names, whether they have the root blob.
// They are free to lie: a count is no promise.
func (h holders) CountSources(ctx context.Context, root blobnet.ID, enough int) int {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	var (
		mu    sync.Mutex
		have  int
		group sync.WaitGroup
	)
	turn := make(chan struct{}, maxAsked)
	asked := map[string]bool{}
	ask := func(p fetch.Peer, done func()) {
		if h, ok := p.(fetch.Haver); ok && !asked[p.Name()] && ctx.Err() == nil {
			asked[p.Name()] = true
			turn <- struct{}{}
			group.Go(func() {
				defer func() { <-turn; done() }()
				limited, cancelOne := context.WithTimeout(ctx, haveTime)
				defer cancelOne()
				if got, err := h.Have(limited, []blobnet.ID{root}); err == nil && len(got) == 1 && got[0] {
					mu.Lock()
					defer mu.Unlock()
					if have++; have >= enough {
						cancel() // the others need not answer
					}
				}
			})
			return
		}
		done()
	}
	for _, p := range h.net.bridges.list() {
		ask(p, func() {})
	}
	for _, id := range h.net.gossip.Peers(h.id) {
		p := h.net.exchange.Peer(id)
		ask(p, func() { _ = p.Close() }) // it only lets go of streams
	}
	for info := range h.net.tracker.Find(ctx, tracker.Key(root)) {
		if info.ID == h.net.host.ID() {
			continue
		}
		p := h.net.exchange.Peer(info.ID)
		ask(p, func() { _ = p.Close() })
	}
	group.Wait()
	return have
}
