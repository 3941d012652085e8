package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Retention: the keep rules of a channel let go of its files as releases come, and
// as time goes by. Each publication removes, in its own manifest, what is beyond
// the rules; so a crash leaves both or nothing, and who is offline learns of both
// together.

// retentionReason is what tombstones of the keep rules begin with.
const retentionReason = "retention: "

var errNothingToRetire = errors.New("nothing is beyond the keep rules")

// Retired is what the keep rules of a channel made of a publication.
type Retired struct {
	Removed []policy.Gone // removed by it, the oldest first
	Left    []policy.Gone // did not fit into it; a further release removes them
	Spared  []policy.Gone // of the newest release itself: they go with the next one
	Next    time.Time     // when the next file becomes too old; zero for never
}

// Rules returns the keep rules of a channel, none if nothing was said.
func (p *Publisher) Rules(ctx context.Context, id channel.ID) ([]policy.Keep, error) {
	text, err := p.cfg.Ledger.Retention(ctx, id)
	if err != nil || text == nil {
		return nil, err
	}
	keep, err := policy.ParseKeeps("the stored keep rules", text)
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w; give it others with channel-retain", id, err)
	}
	return keep, nil
}

// Beyond says what the keep rules would let go of now of what a key may name, and
// changes nothing.
func (p *Publisher) Beyond(ctx context.Context, id channel.ID, key channel.PublicKey, keep []policy.Keep) (Retired, error) {
	return p.beyond(ctx, id, key, keep, channel.Body{})
}

// Retain publishes releases that remove what is beyond the keep rules of a
// channel, and none where nothing is. It is Publish otherwise.
func (p *Publisher) Retain(ctx context.Context, id channel.ID, key channel.PrivateKey) ([]Published, error) {
	var out []Published
	for {
		keep, err := p.Rules(ctx, id)
		if err != nil || len(keep) == 0 {
			return out, err
		}
		due, err := p.Beyond(ctx, id, key.Public(), keep)
		if err != nil || len(due.Removed) == 0 {
			return out, err
		}
		done, err := p.publish(ctx, Release{Channel: id, Key: key, Title: "Retention", retaining: true})
		if errors.Is(err, errNothingToRetire) {
			return out, nil // somebody was faster
		}
		if err != nil {
			return out, err
		}
		out = append(out, done)
	}
}

// retire adds to a body that is about to be published what the keep rules remove.
// The log's turn is the caller's.
func (p *Publisher) retire(ctx context.Context, r Release, body *channel.Body) (Retired, error) {
	keep, err := p.Rules(ctx, r.Channel)
	if err != nil || len(keep) == 0 {
		return Retired{}, err
	}
	due, err := p.beyond(ctx, r.Channel, r.Key.Public(), keep, *body)
	if err != nil {
		return Retired{}, err
	}
	for _, g := range due.Removed {
		body.Removals = append(body.Removals, channel.Removal{Name: g.Name, Reason: retentionReason + g.Why})
	}
	body.Sort()
	return due, nil
}

// beyond is what the rules let go of once body is published.
func (p *Publisher) beyond(ctx context.Context, id channel.ID, key channel.PublicKey, keep []policy.Keep, body channel.Body) (Retired, error) {
	rules, err := policy.Policy{Keep: keep}.Compile(nil)
	if err != nil {
		return Retired{}, err
	}
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return Retired{}, nil
	}
	if err != nil {
		return Retired{}, err
	}
	may, ok := info.Root.Publisher(key)
	if !ok {
		return Retired{}, nil
	}
	changed := map[string]bool{}
	for _, e := range body.Entries {
		changed[e.Name] = true
	}
	for _, r := range body.Removals {
		changed[r.Name] = true
	}
	there := []catalog.Entry{}
	for e, err := range p.cfg.Ledger.Entries(ctx, id, catalog.EntryFilter{}) {
		if err != nil {
			return Retired{}, err
		}
		if may.MayName(e.Name) && !changed[e.Name] {
			e.FileEntry = channel.FileEntry{Name: e.Name, Size: e.Size} // there may be a million
			there = append(there, e)
		}
	}
	items, last := itemsOf(there)
	now := p.cfg.Now()
	issued := max(channel.TimeOf(now), last.Issued) // what is being published counts as the newest
	for _, e := range body.Entries {
		items = append(items, policy.Item{Name: e.Name, Size: e.Size, Issued: issued, Position: last.Position + 1})
	}
	var out Retired
	out.Removed, out.Spared = rules.Retire(items, now)
	out.Next = rules.NextAge(items, now)
	fit := fitting(out.Removed, body)
	out.Removed, out.Left = out.Removed[:fit], out.Removed[fit:]
	return out, nil
}

// itemsOf are entries of a view as the rules look at them. Of two releases that
// were issued in one second the view's own order decides, and not the order in
// which they came here. last is the newest of them.
func itemsOf(entries []catalog.Entry) (items []policy.Item, last policy.Item) {
	byRelease := func(a, b catalog.Entry) int {
		return cmp.Or(cmp.Compare(a.Issued, b.Issued), a.Log.Compare(b.Log), cmp.Compare(a.Seq, b.Seq))
	}
	slices.SortFunc(entries, byRelease)
	for i, e := range entries {
		if i == 0 || byRelease(entries[i-1], e) != 0 {
			last.Position++
		}
		last = policy.Item{Name: e.Name, Size: e.Size, Issued: e.Issued, Position: last.Position}
		items = append(items, last)
	}
	return items, last
}

// fitting is how many removals go into a release beside its body: a body that
// lies in the manifest stays there, since everybody who has the manifest then has
// its tombstones.
func fitting(gone []policy.Gone, body channel.Body) (n int) {
	size := 64
	if data, err := channel.EncodeBody(body); err == nil { // an empty one has no encoding
		size += len(data)
	}
	most := channel.MaxBody
	if size <= channel.MaxInlineBody {
		most = channel.MaxInlineBody
	}
	for n < len(gone) && len(body.Removals)+n < channel.MaxRemovals {
		if size += removalSize(gone[n].Name, retentionReason+gone[n].Why); size > most {
			break
		}
		n++
	}
	return n
}

// removalSize is at least what a removal takes in an encoded body.
func removalSize(name, reason string) int { return len(name) + len(reason) + 16 }
