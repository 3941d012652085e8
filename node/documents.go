package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/outfile"
	"github.com/anonymous-media-library/aml/plugins"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
)

// DocumentSpec is a file that a plugin with hook Render makes of a channel, such
// as a feed for podcast clients.
type DocumentSpec struct {
	Output  string `json:"output"`  // absolute path of the file; it names the document
	Target  string `json:"target"`  // of a channel that is known here
	Plugin  string `json:"plugin"`  //
	Format  string `json:"format"`  // of those that the plugin has; empty: its first
	BaseURL string `json:"baseUrl"` // below which the channel's files can be had by name; empty: nowhere
}

// DocumentInfo is a document and how it fares.
type DocumentInfo struct {
	DocumentSpec
	Channel   string       `json:"channel"`
	Address   string       `json:"address"`
	Rendered  channel.Time `json:"rendered,omitzero"` // when the file was written last
	MediaType string       `json:"mediaType,omitempty"`
	Bytes     int          `json:"bytes,omitempty"`
	Error     string       `json:"error,omitempty"` // why what is newer is not in it
	State     string       `json:"state,omitempty"` // of the channel that it shows
	Fails     int          `json:"fails,omitempty"` // in a row
}

// DocumentListResult lists documents by output.
type DocumentListResult struct {
	Documents []DocumentInfo `json:"documents"`
}

// DocumentRequest names a document by its file; for rendering, empty means all.
type DocumentRequest struct {
	Output string `json:"output"`
}

// DocumentEvent ("document") says that a document was written, or why not.
type DocumentEvent struct {
	Event   string `json:"event"`
	Output  string `json:"output"`
	Channel string `json:"channel"`
	Error   string `json:"error,omitempty"`
}

// maxRendered is how many releases a document is made of at the most.
const maxRendered = 100_000

// lookAtChannels is how often a daemon looks whether a channel has changed that a
// document is made of.
const lookAtChannels = 5 * time.Second

// DocumentAdd makes a document, now and, in a daemon, whenever its channel has
// changed.
func (n *Node) DocumentAdd(ctx context.Context, spec DocumentSpec, _ func(any)) (DocumentInfo, error) {
	p, err := n.plugins.shelf.Get(spec.Plugin)
	if err != nil {
		return DocumentInfo{}, err
	}
	switch {
	case p.Err != nil:
		return DocumentInfo{}, p.Err
	case !p.Manifest.Has(plugins.Render):
		return DocumentInfo{}, badRequest("plugin %s has no hook %s; it has %v", p.ID, plugins.Render, p.Manifest.Hooks)
	case spec.Format == "" && len(p.Manifest.Formats) > 0:
		spec.Format = p.Manifest.Formats[0]
	case !slices.Contains(p.Manifest.Formats, spec.Format):
		return DocumentInfo{}, badRequest("format %q: plugin %s has %v", spec.Format, p.ID, p.Manifest.Formats)
	}
	if !filepath.IsAbs(spec.Output) {
		return DocumentInfo{}, badRequest("output %q is not absolute", spec.Output)
	}
	if spec.BaseURL != "" {
		u, err := url.Parse(spec.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return DocumentInfo{}, badRequest("base URL %.200q: want http:// or https://, a host and a path", spec.BaseURL)
		}
		spec.BaseURL = u.String()
	}
	found, err := n.find(ctx, spec.Target)
	if err != nil {
		return DocumentInfo{}, err
	}
	info := DocumentInfo{DocumentSpec: spec, Channel: found.ID.String(), Address: address(found.ID)}
	if info, err = n.render(ctx, info); err != nil { // what does not work now is not kept
		return DocumentInfo{}, err
	}
	err = n.documents.change(func(list []DocumentInfo) ([]DocumentInfo, error) {
		list = slices.DeleteFunc(list, func(d DocumentInfo) bool { return d.Output == info.Output })
		list = append(list, info)
		slices.SortFunc(list, func(a, b DocumentInfo) int { return cmp.Compare(a.Output, b.Output) })
		return list, nil
	})
	return info, err
}

// DocumentList lists documents.
func (n *Node) DocumentList(context.Context, None, func(any)) (DocumentListResult, error) {
	list, err := n.documents.all()
	return DocumentListResult{Documents: list}, err
}

// DocumentRemove makes a document no more. Its file stays.
func (n *Node) DocumentRemove(_ context.Context, req DocumentRequest, _ func(any)) (None, error) {
	return None{}, n.documents.change(func(list []DocumentInfo) ([]DocumentInfo, error) {
		i := slices.IndexFunc(list, func(d DocumentInfo) bool { return d.Output == req.Output })
		if i < 0 {
			return nil, unknownDocument(req.Output)
		}
		return slices.Delete(list, i, i+1), nil
	})
}

func unknownDocument(output string) error {
	return notFound("no document is written to %.200q; see aml document-list", output)
}

// DocumentRender makes one document or all anew. It fails if one of them could
// not be; that stays as it was.
func (n *Node) DocumentRender(ctx context.Context, req DocumentRequest, _ func(any)) (DocumentListResult, error) {
	list, err := n.documents.all()
	res := DocumentListResult{Documents: []DocumentInfo{}}
	errs := []error{err}
	for _, d := range list {
		if req.Output != "" && d.Output != req.Output {
			continue
		}
		d, err := n.renderKept(ctx, d)
		res.Documents = append(res.Documents, d)
		errs = append(errs, err)
	}
	if req.Output != "" && len(res.Documents) == 0 {
		errs = append(errs, unknownDocument(req.Output))
	}
	return res, errors.Join(errs...)
}

// renderKept renders a document and keeps what came of it.
func (n *Node) renderKept(ctx context.Context, d DocumentInfo) (DocumentInfo, error) {
	d, err := n.render(ctx, d)
	if ctx.Err() != nil {
		return d, context.Cause(ctx)
	}
	kept := n.documents.change(func(list []DocumentInfo) ([]DocumentInfo, error) {
		for i := range list {
			if list[i].DocumentSpec == d.DocumentSpec {
				list[i] = d
			}
		}
		return list, nil
	})
	n.bus.send(aboutDocuments, DocumentEvent{Event: "document", Output: d.Output, Channel: d.Channel, Error: d.Error})
	return d, errors.Join(err, kept)
}

// render has the file written, whole or not at all: when anything fails the last
// good one stays.
func (n *Node) render(ctx context.Context, d DocumentInfo) (DocumentInfo, error) {
	state, mediaType, text, err := n.document(ctx, d)
	if err == nil {
		err = writeDocument(ctx, d.Output, text)
	}
	d.State = state
	if err != nil {
		d.Error = err.Error()
		d.Fails++
		return d, fmt.Errorf("document %s: %w", d.Output, err)
	}
	d.Error, d.Fails, d.Rendered, d.MediaType, d.Bytes = "", 0, channel.TimeOf(time.Now()), mediaType, len(text)
	return d, nil
}

func writeDocument(ctx context.Context, path string, text []byte) error {
	f, err := outfile.Create(ctx, path, ".aml-document-*")
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // a web server is to read it
		if err := f.Chmod(0o644); err != nil {
			return err
		}
	}
	return f.Commit()
}

// document asks the plugin.
func (n *Node) document(ctx context.Context, d DocumentInfo) (state, mediaType string, text []byte, err error) {
	id, err := channel.ParseID(d.Channel)
	if err != nil {
		return "", "", nil, err
	}
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return "", "", nil, err
	}
	state = shownState(info)
	releases, err := n.shown(ctx, info)
	if err != nil {
		return state, "", nil, err
	}
	mediaType, text, err = n.plugins.host.Render(ctx, d.Plugin, plughost.View{
		Channel: id, Title: titleOf(info), Kind: info.Root.Kind, Format: d.Format, BaseURL: d.BaseURL, Releases: releases,
	})
	return state, mediaType, text, err
}

// shownState is another text when there is something else to be shown.
func shownState(info catalog.Info) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %d %d %d\n", info.Root.Version, titleOf(info), info.Position, info.Entries, info.MissingBodies)
	for _, l := range info.Logs {
		fmt.Fprintf(h, "%s %d %v\n", l.Log, l.Seq, l.Frozen)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func titleOf(info catalog.Info) string { return cmp.Or(info.Root.Title, info.SealedTitle) }

// shown yields the releases of a channel from the newest on, with those files
// alone that are in it now: what was edited or removed since is left out.
func (n *Node) shown(ctx context.Context, info catalog.Info) (iter.Seq2[plughost.Release, error], error) {
	type place struct {
		log channel.PublicKey
		seq uint64
	}
	live := map[place]map[string]bool{}
	for e, err := range n.catalog.Entries(ctx, info.ID, catalog.EntryFilter{}) {
		if err != nil {
			return nil, err
		}
		at := place{e.Log, e.Seq}
		if live[at] == nil {
			live[at] = map[string]bool{}
		}
		live[at][e.Name] = true
	}
	var out []catalog.Release
	for after := int64(0); ; {
		page, err := n.catalog.Releases(ctx, info.ID, after, 0)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			after = r.Position
			names := live[place{r.Log, r.Seq}]
			if r.Body == nil || len(names) == 0 {
				continue
			}
			body := *r.Body
			body.Removals = nil
			body.Entries = slices.DeleteFunc(slices.Clone(body.Entries), func(e channel.FileEntry) bool { return !names[e.Name] })
			r.Body = &body
			out = append(out, r)
		}
		if len(out) > maxRendered {
			out = out[len(out)-maxRendered:]
		}
	}
	slices.SortStableFunc(out, func(a, b catalog.Release) int {
		return cmp.Or(cmp.Compare(b.Manifest.Issued, a.Manifest.Issued), cmp.Compare(b.Position, a.Position))
	})
	return func(yield func(plughost.Release, error) bool) {
		for _, r := range out {
			if !yield(plughost.Release{
				Channel: r.Channel, Kind: info.Root.Kind, Log: r.Log, Epoch: r.Manifest.Epoch, Seq: r.Seq, Hash: r.Hash, Issued: r.Manifest.Issued, Body: r.Body,
			}, nil) {
				return
			}
		}
	}, nil
}

// renderForever renders each document whose channel has changed, and now and then the
// others, until ctx ends.
func (n *Node) renderForever(ctx context.Context) error {
	ticker := time.NewTicker(lookAtChannels)
	defer ticker.Stop()
	tried := map[string]time.Time{} // when one that fails was tried last
	for {
		list, err := n.documents.all()
		if err != nil && len(tried) == 0 {
			n.log.Error("documents are not made", "error", err)
		}
		for _, d := range list {
			if ctx.Err() != nil {
				return nil
			}
			if !n.outdated(ctx, d) && d.Fails == 0 {
				continue
			}
			if again := tried[d.Output].Add(minEvery << min(d.Fails, 6)); d.Fails > 0 && time.Now().Before(again) {
				continue
			}
			tried[d.Output] = time.Now()
			if _, err := n.renderKept(ctx, d); err != nil && ctx.Err() == nil {
				n.log.Warn("a document stays as it was", "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// renderEvery is how often a document is written anew though its channel is as it was:
// some say until when they are good.
const renderEvery = time.Hour

// outdated reports whether a document shows another state of its channel, is too old, or
// its file is gone.
func (n *Node) outdated(ctx context.Context, d DocumentInfo) bool {
	id, err := channel.ParseID(d.Channel)
	if err != nil {
		return false
	}
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return false
	}
	_, gone := os.Stat(d.Output)
	return shownState(info) != d.State || time.Since(d.Rendered.Time()) > renderEvery || errors.Is(gone, os.ErrNotExist)
}
