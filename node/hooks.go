package node

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/plugins"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// hooks are the plugins, as a subscriber asks them.
type hooks struct{ n *Node }

// kindOf is a channel's kind, which says what silence of a plugin means.
func (h hooks) kindOf(ctx context.Context, id channel.ID) (channel.Kind, error) {
	info, err := h.n.catalog.Channel(ctx, id)
	return info.Root.Kind, err
}

func (h hooks) release(ctx context.Context, r catalog.Release, body *channel.Body) (plughost.Release, error) {
	kind, err := h.kindOf(ctx, r.Channel)
	return plughost.Release{
		Channel: r.Channel, Kind: kind, Log: r.Log, Epoch: r.Manifest.Epoch, Seq: r.Seq, Hash: r.Hash, Issued: r.Manifest.Issued, Body: body,
	}, err
}

// Filter asks those with FilterManifest.
func (h hooks) Filter(ctx context.Context, r catalog.Release, body *channel.Body) (out subscriber.Filtered, err error) {
	release, err := h.release(ctx, r, body)
	if err != nil {
		return out, err
	}
	verdicts, err := h.n.plugins.host.Filter(ctx, release)
	if err != nil {
		return out, err
	}
	v := verdicts[0]
	if !v.Failed {
		h.n.label(ctx, r.Position, v.Labels)
	}
	if v.Decision == plugins.Allow { // then it is going to be fetched, and has to be scanned
		unscanned, err := h.n.plugins.host.Unscanned(ctx)
		if err != nil {
			return out, err
		}
		if unscanned.Decision != plugins.Allow {
			v = unscanned
		}
	}
	out = subscriber.Filtered{HookVerdict: said(v), Labels: v.Labels}
	for name, id := range v.Mask {
		if out.Masked == nil {
			out.Masked = map[string]string{}
		}
		out.Masked[name] = "plugin " + id + " leaves it out"
	}
	return out, nil
}

// label keeps what filters say of a release beside their decision. Nothing waits
// for it.
func (n *Node) label(ctx context.Context, position int64, labels map[string]string) {
	if err := n.catalog.SetLabels(ctx, position, labels); err != nil && ctx.Err() == nil {
		n.log.Warn("keeping the labels of a release", "error", err)
	}
}

// said is a verdict in words.
func said(v plugins.Verdict) subscriber.HookVerdict {
	switch v.Decision {
	case plugins.Deny:
		return subscriber.HookVerdict{Refused: true, Why: because("plugin "+v.Plugin+" refuses it", v.Reason)}
	case plugins.Quarantine:
		return subscriber.HookVerdict{Refused: true, Later: true, Why: because("plugin "+v.Plugin+" holds it back", v.Reason)}
	}
	return subscriber.HookVerdict{}
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// Plan asks those with PlanFetch.
func (h hooks) Plan(ctx context.Context, subscription string, r catalog.Release, files []channel.FileEntry, paths []string, labels map[string]string) (map[string]subscriber.Plan, error) {
	if !h.n.plugins.host.Has(plugins.PlanFetch) { // Filter came first, so it is known
		return nil, nil
	}
	release, err := h.release(ctx, r, &channel.Body{Entries: files})
	if err != nil {
		return nil, err
	}
	planned := make([]plughost.Planned, len(files))
	for i, e := range files {
		planned[i] = plughost.Planned{Name: e.Name, Path: paths[i]}
	}
	changes, err := h.n.plugins.host.Plan(ctx, subscription, release, planned, labels)
	out := map[string]subscriber.Plan{}
	for name, c := range changes {
		p := subscriber.Plan{Priority: c.Priority, Path: c.Path}
		if c.Skip {
			p.Skip = subscriber.HookVerdict{Refused: true, Why: because("plugin "+c.Plugin+" skips it", c.Reason)}
		}
		out[name] = p
	}
	return out, err
}

// Scan asks those with ScanContent.
func (h hooks) Scan(ctx context.Context, r catalog.Release, e channel.FileEntry, open func() (io.ReadCloser, error)) (subscriber.HookVerdict, error) {
	if !h.n.plugins.host.Has(plugins.ScanContent) {
		return subscriber.HookVerdict{}, nil
	}
	kind, err := h.kindOf(ctx, r.Channel)
	if err != nil {
		return subscriber.HookVerdict{}, err
	}
	v, err := h.n.plugins.host.Scan(ctx, plughost.Content{Channel: r.Channel, Kind: kind, Entry: e, Open: open})
	return said(v), err
}

// beforePublish lets plugins with that hook edit or stop a release.
func (n *Node) beforePublish(ctx context.Context, r publisher.Release) (publisher.Release, error) {
	var earlier []plughost.Release
	if n.plugins.host.Has(plugins.BeforePublish) && !r.Channel.IsZero() { // else it is about to be founded
		var err error
		if earlier, err = n.earlier(ctx, r.Channel); err != nil {
			return r, err
		}
	}
	d, err := n.plugins.host.BeforePublish(ctx, r.Channel, plughost.Draft{
		Title: r.Title, Description: r.Description, Metadata: r.Metadata, Entries: r.Entries, Remove: r.Remove, Earlier: earlier,
	})
	if err != nil {
		return r, fmt.Errorf("nothing is published: %w", err)
	}
	r.Title, r.Description, r.Metadata, r.Entries, r.Remove = d.Title, d.Description, d.Metadata, d.Entries, d.Remove
	return r, nil
}

// maxEarlier is how many releases a draft is shown with.
const maxEarlier = 256

// earlier is what a channel has, as far as its newest releases say: of each, the
// files that no later one removes or replaces.
func (n *Node) earlier(ctx context.Context, id channel.ID) ([]plughost.Release, error) {
	positions, err := n.catalog.Newest(ctx, id, maxEarlier)
	if err != nil || len(positions) == 0 {
		return nil, err
	}
	var newest []catalog.Release
	for r, err := range n.releasesAfter(ctx, id, positions[len(positions)-1]-1) {
		if err != nil {
			return nil, err
		}
		newest = append(newest, r)
	}
	var out []plughost.Release
	later := map[string]bool{}
	for _, r := range slices.Backward(newest) {
		if r.Body == nil {
			continue
		}
		body := *r.Body
		body.Removals, body.Entries = nil, slices.DeleteFunc(slices.Clone(body.Entries), func(e channel.FileEntry) bool { return later[e.Name] })
		for _, e := range r.Body.Entries {
			later[e.Name] = true
		}
		for _, e := range r.Body.Removals {
			later[e.Name] = true
		}
		if len(body.Entries) > 0 {
			release, err := hooks{n}.release(ctx, r, &body)
			if err != nil {
				return nil, err
			}
			out = append(out, release)
		}
	}
	slices.Reverse(out)
	return out, nil
}
