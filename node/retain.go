package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// RetainRequest changes the keep rules of an own channel; without Keep it shows
// them, and what is beyond them.
type RetainRequest struct {
	Target     string    `json:"target"`
	Keep       *Document `json:"keep,omitempty"` // {"keep": [...]}, in place of those that are there
	Now        bool      `json:"now,omitempty"`  // remove at once what is beyond them
	KeyFile    string    `json:"keyFile"`
	OnlyHolder bool      `json:"onlyHolder"`
	Peers      []string  `json:"peers"`
}

// RetainResult is what the rules are and make of the channel.
type RetainResult struct {
	Address  string          `json:"address"`
	Channel  string          `json:"channel"`
	Keep     json.RawMessage `json:"keep"`   // an array of rules
	Rules    []string        `json:"rules"`  // the same, as flags have them
	Beyond   []RetiredFile   `json:"beyond"` // goes with the next release, or when a daemon looks
	Spared   []RetiredFile   `json:"spared"` // of the newest release: goes with the next one
	Removed  []RetiredFile   `json:"removed"`
	Releases []uint64        `json:"releases"` // that removed
}

// RetiredFile is a file that keep rules let go of.
type RetiredFile struct {
	Name   string `json:"name"`
	Size   uint64 `json:"size"`
	Reason string `json:"reason"` // the bound, and the glob
}

func retired(gone []policy.Gone) []RetiredFile {
	out := []RetiredFile{}
	for _, g := range gone {
		out = append(out, RetiredFile{g.Name, g.Size, g.Why})
	}
	return out
}

// CheckKeep says what is wrong with keep rules. It needs no node.
func CheckKeep(doc Document) error {
	if _, err := policy.ParseKeeps(doc.Name, doc.Text); err != nil {
		if strings.HasPrefix(doc.Name, "--") {
			err = ofFlag(doc.Name, err)
		}
		return badRequest("%w", err)
	}
	return nil
}

// Retain shows or changes the keep rules of a channel that this home publishes to.
func (n *Node) Retain(ctx context.Context, req RetainRequest, emit func(any)) (RetainResult, error) {
	if req.Keep != nil {
		if err := CheckKeep(*req.Keep); err != nil {
			return RetainResult{}, err
		}
	}
	info, to, err := n.ownChannel(ctx, req.Target, req.KeyFile, req.Peers)
	if err != nil {
		return RetainResult{}, err
	}
	if req.Keep != nil {
		if err := n.setRetention(ctx, to, *req.Keep); err != nil {
			return RetainResult{}, fmt.Errorf("keep rules of %s: %w", address(info.ID), err)
		}
	}
	res := RetainResult{Address: address(info.ID), Channel: info.ID.String(), Removed: []RetiredFile{}, Releases: []uint64{}}
	if req.Now {
		if err := n.mayWrite(ctx, to, req.OnlyHolder, req.Peers, emit); err != nil {
			return res, err
		}
		done, err := n.retain(ctx, to, emit)
		for _, d := range done {
			res.Removed = append(res.Removed, retired(d.Retired.Removed)...)
			res.Releases = append(res.Releases, d.Seq)
		}
		if err != nil {
			return res, err
		}
	}
	keep, err := n.pub.Rules(ctx, info.ID)
	if err != nil {
		return res, err
	}
	beyond, err := n.pub.Beyond(ctx, info.ID, to.own.Key, keep)
	if err != nil {
		return res, err
	}
	res.Keep, res.Rules = rulesOf(keep)
	res.Beyond, res.Spared = retired(append(beyond.Removed, beyond.Left...)), retired(beyond.Spared)
	return res, nil
}

// rulesOf are keep rules as JSON and as flags have them.
func rulesOf(keep []policy.Keep) (raw json.RawMessage, texts []string) {
	var doc struct {
		Keep json.RawMessage `json:"keep"`
	}
	_ = json.Unmarshal(policy.KeepsJSON(keep), &doc) // it was just written
	texts = []string{}
	for _, k := range keep {
		texts = append(texts, k.String())
	}
	return doc.Keep, texts
}

// setRetention stores rules. What is beyond them goes with the next release, or as it
// becomes too old: new rules delete nothing by themselves, since they may be a slip.
func (n *Node) setRetention(ctx context.Context, to publication, doc Document) error {
	keep, err := policy.ParseKeeps(doc.Name, doc.Text)
	if err != nil {
		return badRequest("%w", err)
	}
	if err := n.join(ctx, to); err != nil {
		return err
	}
	var text json.RawMessage
	if len(keep) > 0 {
		text = policy.KeepsJSON(keep)
	}
	if err := n.catalog.SetRetention(ctx, to.own.Channel, text); err != nil {
		return err
	}
	tell(n.ageing.rules)
	return nil
}

// retain removes what is beyond the rules of a channel.
func (n *Node) retain(ctx context.Context, to publication, emit func(any)) ([]publisher.Published, error) {
	done, err := n.pub.Retain(ctx, to.own.Channel, to.key)
	for _, d := range done {
		tellUnannounced(emit, to.own.Channel, d.Unannounced)
	}
	if err != nil {
		return done, fmt.Errorf("keep rules of %s: %w", address(to.own.Channel), err)
	}
	if len(done) > 0 {
		n.tookBack(ctx, to.own.Channel, to.key)
	}
	return done, nil
}

const (
	// retainInterval is how often a daemon looks at all channels with keep rules.
	retainInterval = time.Hour
	// retainRetry is how soon it looks again at one that it could not write to.
	retainRetry = 5 * time.Minute
)

// ageing says what has changed since ages were looked at. Each holds one.
type ageing struct {
	rules    chan struct{} // a channel has other rules
	releases chan struct{} // or another release
}

func newAgeing() ageing {
	return ageing{make(chan struct{}, 1), make(chan struct{}, 1)}
}

func tell(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default: // it is known already
	}
}

// retainForever removes what has become too old for the keep rules of own channels,
// until ctx ends: when the oldest file does so. When rules have just been given it
// only works out when that is: they may be a slip.
func (n *Node) retainForever(ctx context.Context) error {
	for remove := true; ; {
		next := n.retainAll(ctx, remove)
		timer := time.NewTimer(max(time.Second, min(time.Until(next), retainInterval)))
		select {
		case <-n.ageing.rules:
			remove = false
		case <-n.ageing.releases:
			remove = true
		case <-timer.C:
			remove = true
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// retainAll goes through all channels with keep rules, and returns when to look
// again.
func (n *Node) retainAll(ctx context.Context, remove bool) (next time.Time) {
	next = time.Now().Add(retainInterval)
	ids, err := n.catalog.Retained(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Warn("looking for keep rules", "error", err)
	}
	for _, id := range ids {
		soonest, err := n.retainOne(ctx, id, remove)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("keep rules", "channel", address(id), "error", err)
			soonest = time.Now().Add(retainRetry)
		}
		if !soonest.IsZero() && soonest.Before(next) {
			next = soonest
		}
	}
	return next
}

func (n *Node) retainOne(ctx context.Context, id channel.ID, remove bool) (soonest time.Time, err error) {
	to, err := n.publicationTo(ctx, id, "", "")
	if err != nil {
		return soonest, err
	}
	keep, err := n.pub.Rules(ctx, id)
	if err != nil {
		return soonest, err
	}
	beyond, err := n.pub.Beyond(ctx, id, to.own.Key, keep)
	if err != nil || len(beyond.Removed) == 0 || !remove {
		return beyond.Next, err
	}
	if err := n.mayWrite(ctx, to, false, nil, func(any) {}); err != nil {
		return soonest, err
	}
	if _, err := n.retain(ctx, to, func(any) {}); err != nil && !errors.Is(err, context.Canceled) {
		return soonest, err
	}
	beyond, err = n.pub.Beyond(ctx, id, to.own.Key, keep)
	return beyond.Next, err
}
