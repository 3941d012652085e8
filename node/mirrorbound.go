package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/mirror/fill"
	"github.com/anonymous-media-library/aml/mirror/owed"
	"github.com/anonymous-media-library/aml/plugins"
)

// MirrorBinding binds a plugin with hook Mirror to a channel: it is kept filled with
// what counts of it.
type MirrorBinding struct {
	Plugin  string       `json:"plugin"`
	Channel string       `json:"channel"`
	Address string       `json:"address"`
	Added   channel.Time `json:"added"`
}

// MirrorBoundInfo is a binding and how it fares. Without a channel it is what a plugin
// has to delete still of bindings that were ended.
type MirrorBoundInfo struct {
	MirrorBinding
	Title   string       `json:"title,omitempty"`
	There   int64        `json:"there"`             // blobs that the plugin has
	Owed    int64        `json:"owed"`              // that it is to be given
	Missing int64        `json:"missing"`           // that count, and are not here
	Delete  int64        `json:"delete"`            // that it has to delete, whatever channel they were of
	Failing int64        `json:"failing,omitempty"` // of those that are owed or to be deleted: tried in vain
	Error   string       `json:"error,omitempty"`   // what failed last
	Again   channel.Time `json:"again,omitzero"`    // when it is tried again
	Rests   bool         `json:"rests,omitempty"`   // the plugin fails as a whole, and is asked nothing until then
}

// MirrorListResult lists bindings by plugin and channel.
type MirrorListResult struct {
	Mirrors []MirrorBoundInfo `json:"mirrors"`
}

// MirrorBindingRequest names a binding by plugin and channel; for pushing, empty means
// all.
type MirrorBindingRequest struct {
	Plugin string `json:"plugin"`
	Target string `json:"target"` // of a channel that is known here

	Delete bool `json:"delete"` // for removing: what no other binding counts is to go there
	Check  bool `json:"check"`  // for pushing: the plugin is asked for all that it is said to have
}

// MirrorPushResult counts what a push did, and says what is left.
type MirrorPushResult struct {
	Mirrors []MirrorBoundInfo `json:"mirrors"`
	Put     int64             `json:"put"` // blobs
	Bytes   int64             `json:"bytes"`
	Found   int64             `json:"found"` // that the plugins had already
	Deleted int64             `json:"deleted"`
	Lost    int64             `json:"lost"` // that they were said to have, and had not
	Owed    int64             `json:"owed"` // still, those to be deleted among them
	Why     string            `json:"why,omitempty"`
}

// MirrorAdd keeps a plugin filled with a channel, by a daemon or with MirrorPush.
func (n *Node) MirrorAdd(ctx context.Context, req MirrorBindingRequest, _ func(any)) (MirrorBoundInfo, error) {
	p, err := n.plugins.shelf.Get(req.Plugin)
	if err != nil {
		return MirrorBoundInfo{}, err
	}
	switch {
	case p.Err != nil:
		return MirrorBoundInfo{}, p.Err
	case !p.Manifest.Has(plugins.Mirror):
		return MirrorBoundInfo{}, badRequest("plugin %s has no hook %s; it has %v", p.ID, plugins.Mirror, p.Manifest.Hooks)
	}
	found, err := n.find(ctx, req.Target)
	if err != nil {
		return MirrorBoundInfo{}, err
	}
	b := MirrorBinding{Plugin: req.Plugin, Channel: found.ID.String(), Address: address(found.ID), Added: channel.TimeOf(time.Now())}
	if _, err := n.filling.open(ctx); err != nil {
		return MirrorBoundInfo{}, err
	}
	err = n.filling.bindings.change(func(list []MirrorBinding) ([]MirrorBinding, error) {
		if i := slices.IndexFunc(list, b.same); i >= 0 {
			b = list[i]
			return list, nil
		}
		list = append(list, b)
		slices.SortFunc(list, func(a, b MirrorBinding) int {
			return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Channel, b.Channel))
		})
		return list, nil
	})
	if err != nil {
		return MirrorBoundInfo{}, err
	}
	f, err := n.filler(ctx, b.Plugin)
	if err != nil {
		return MirrorBoundInfo{}, err
	}
	n.filling.wake()
	f.Wake()
	return n.boundInfo(ctx, b)
}

func (b MirrorBinding) same(other MirrorBinding) bool {
	return b.Plugin == other.Plugin && b.Channel == other.Channel
}

// boundInfo says how a binding fares.
func (n *Node) boundInfo(ctx context.Context, b MirrorBinding) (MirrorBoundInfo, error) {
	info := MirrorBoundInfo{MirrorBinding: b}
	ledger, err := n.filling.open(ctx)
	if err != nil {
		return info, err
	}
	var only *owed.Of
	if b.Channel != "" {
		id, err := channel.ParseID(b.Channel)
		if err != nil {
			return info, fmt.Errorf("reading %s: %w", n.filling.bindings.path, err)
		}
		only = (*owed.Of)(&id)
		if known, err := n.catalog.Channel(ctx, id); err == nil {
			info.Title = titleIn(known)
		}
	}
	if only != nil {
		c, err := ledger.Count(ctx, b.Plugin, only)
		if err != nil {
			return info, err
		}
		info.There, info.Owed, info.Missing = c.There, c.Put, c.Missing
	}
	return info, n.trouble(ctx, &info)
}

// trouble says of a binding what its plugin has to delete, and what fails there.
func (n *Node) trouble(ctx context.Context, info *MirrorBoundInfo) error {
	ledger, err := n.filling.open(ctx)
	if err != nil {
		return err
	}
	t, err := ledger.Trouble(ctx, info.Plugin)
	if err != nil {
		return err
	}
	if info.Delete = t.Delete; t.Blobs > 0 {
		info.Failing, info.Error, info.Again = t.Blobs, t.Error, channel.TimeOf(t.Again)
	}
	if f := n.filling.of(info.Plugin); f != nil {
		if s := f.State(); !s.Until.IsZero() {
			info.Rests, info.Error, info.Again = true, s.Why, channel.TimeOf(s.Until)
		}
	}
	return nil
}

// of is who fills a plugin, if anybody does.
func (f *filling) of(plugin string) *fill.Filler {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fillers[plugin]
}

// MirrorList lists bindings, and what is still to be deleted of others.
func (n *Node) MirrorList(ctx context.Context, _ None, _ func(any)) (MirrorListResult, error) {
	list, err := n.mirrorBindings(ctx)
	res := MirrorListResult{Mirrors: []MirrorBoundInfo{}}
	for _, b := range list {
		info, bad := n.boundInfo(ctx, b)
		if err = errors.Join(err, bad); bad != nil {
			break
		}
		res.Mirrors = append(res.Mirrors, info)
	}
	return res, err
}

// mirrorBindings are all bindings, and one without a channel for each plugin that has
// none and has something to delete.
func (n *Node) mirrorBindings(ctx context.Context) ([]MirrorBinding, error) {
	list, err := n.filling.bindings.all()
	if err != nil {
		return nil, err
	}
	names, err := n.toFill(ctx)
	for _, name := range names {
		if !slices.ContainsFunc(list, func(b MirrorBinding) bool { return b.Plugin == name }) {
			list = append(list, MirrorBinding{Plugin: name})
		}
	}
	return list, err
}

// MirrorPush does now what is owed. What is left is in the result.
func (n *Node) MirrorPush(ctx context.Context, req MirrorBindingRequest, emit func(any)) (MirrorPushResult, error) {
	res := MirrorPushResult{Mirrors: []MirrorBoundInfo{}}
	list, err := n.mirrorBindings(ctx)
	if err != nil {
		return res, err
	}
	var only *owed.Of
	if req.Target != "" {
		b, err := n.mirrorBinding(ctx, req)
		if err != nil {
			return res, err
		}
		id, err := channel.ParseID(b.Channel)
		if err != nil {
			return res, err
		}
		only, list = (*owed.Of)(&id), []MirrorBinding{b}
	}
	if req.Plugin != "" {
		list = slices.DeleteFunc(list, func(b MirrorBinding) bool { return b.Plugin != req.Plugin })
		if len(list) == 0 {
			return res, notFound("no channel is bound to plugin %.80q; see aml mirror-list", req.Plugin)
		}
	}
	for i, b := range list {
		if i > 0 && list[i-1].Plugin == b.Plugin {
			continue // it was pushed with all its channels
		}
		if err := n.pushBound(ctx, b.Plugin, fill.Wish{Only: only, Check: req.Check}, &res, emit); err != nil {
			return res, err
		}
	}
	for i, b := range list {
		info, err := n.boundInfo(ctx, b)
		if err != nil {
			return res, err
		}
		res.Mirrors = append(res.Mirrors, info)
		res.Owed += info.Owed
		if i == 0 || list[i-1].Plugin != b.Plugin {
			res.Owed += info.Delete
		}
		if info.Owed+info.Delete > 0 {
			res.Why = fmt.Sprintf("%s: %s", b.Plugin, cmp.Or(info.Error, "more has come meanwhile"))
		}
	}
	if res.Owed > 0 {
		res.Why = fmt.Sprintf("%d blobs are still owed, the last because of %s; a daemon tries again by itself, or give the command again", res.Owed, res.Why)
	}
	return res, nil
}

func (n *Node) pushBound(ctx context.Context, plugin string, w fill.Wish, res *MirrorPushResult, emit func(any)) error {
	f, err := n.filler(ctx, plugin)
	if err != nil {
		return err
	}
	before := res.Bytes
	done, err := f.Push(ctx, w, func(r fill.Result) {
		emit(ProgressEvent{Event: "progress", Name: "copy", Done: uint64(before + r.Bytes)})
	})
	res.Put += done.Put
	res.Bytes += done.Bytes
	res.Found += done.There
	res.Deleted += done.Deleted
	res.Lost += done.Lost
	return err
}

// mirrorBinding is the binding that a request names.
func (n *Node) mirrorBinding(ctx context.Context, req MirrorBindingRequest) (MirrorBinding, error) {
	t, err := n.target(ctx, req.Target)
	if err != nil {
		return MirrorBinding{}, err
	}
	id := t.address.ID
	if t.topic != "" {
		found, err := n.find(ctx, req.Target)
		if err != nil {
			return MirrorBinding{}, err
		}
		id = found.ID
	}
	list, err := n.filling.bindings.all()
	if err != nil {
		return MirrorBinding{}, err
	}
	i := slices.IndexFunc(list, MirrorBinding{Plugin: req.Plugin, Channel: id.String()}.same)
	if i < 0 {
		return MirrorBinding{}, notFound("channel %s is not bound to plugin %.80q; see aml mirror-list", address(id), req.Plugin)
	}
	return list[i], nil
}

// MirrorRemove ends a binding. What is there stays, or with Delete what no other binding
// counts is deleted there: now, or by a daemon or MirrorPush when the plugin can be
// asked.
func (n *Node) MirrorRemove(ctx context.Context, req MirrorBindingRequest, _ func(any)) (MirrorPushResult, error) {
	res := MirrorPushResult{Mirrors: []MirrorBoundInfo{}}
	b, err := n.mirrorBinding(ctx, req)
	if err != nil {
		return res, err
	}
	id, err := channel.ParseID(b.Channel)
	if err != nil {
		return res, err
	}
	f, err := n.filler(ctx, b.Plugin)
	if err != nil {
		return res, err
	}
	_, err = f.End(ctx, owed.Of(id), !req.Delete, func() error {
		return n.filling.bindings.change(func(list []MirrorBinding) ([]MirrorBinding, error) {
			return slices.DeleteFunc(list, b.same), nil
		})
	})
	n.filling.wake()
	if err != nil || !req.Delete {
		return res, err
	}
	nothing := owed.Of{} // only what is to be deleted
	if err := n.pushBound(ctx, b.Plugin, fill.Wish{Only: &nothing}, &res, func(any) {}); err != nil {
		return res, err
	}
	info, err := n.boundInfo(ctx, MirrorBinding{Plugin: b.Plugin})
	if res.Owed = info.Delete; res.Owed > 0 {
		res.Why = fmt.Sprintf("%d blobs are still to be deleted there, because of %s: %s; a daemon tries again by itself, or give aml mirror-push", res.Owed, b.Plugin, info.Error)
	}
	return res, err
}

// forgetMirror forgets what a plugin that was removed was owed, unless it is bound: then
// it may come back.
func (n *Node) forgetMirror(ctx context.Context, plugin string) error {
	used, err := n.filling.used()
	if err != nil || !used {
		return err
	}
	bound, err := n.filling.bound(plugin)
	if err != nil || len(bound) > 0 {
		return err
	}
	ledger, err := n.filling.open(ctx)
	if err != nil {
		return err
	}
	return ledger.Forget(ctx, plugin)
}
