package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/mirror/fill"
)

// mirrorPeer is a plugin that is a mirror as one who has blobs: what is bound to
// channels is also fetched from. What it gives is checked by the host.
type mirrorPeer struct {
	n      *Node
	plugin string
	filler *fill.Filler // who knows whether it can be asked

	mu    sync.Mutex // guards what follows; held for memory work alone
	knows map[blobnet.ID]bool
	since time.Time // of what it knows
	quiet time.Time // until then it is asked nothing
}

const (
	// mirrorKnown is how long what a plugin said that it has, or has not, is believed
	// while something is fetched: each question may be a request to a server.
	mirrorKnown    = 10 * time.Minute
	maxMirrorKnown = 1 << 16
	// mirrorQuiet is how long one that failed is asked nothing.
	mirrorQuiet = time.Minute
)

// Name is of fetch.Peer.
func (p *mirrorPeer) Name() string { return "plugin " + p.plugin }

// Get is of fetch.Peer. Whatever fails, it is an operator's own plugin and never
// misbehaviour.
func (p *mirrorPeer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if !p.usable() {
		return dst, blobnet.ErrNotFound
	}
	data, err := p.n.plugins.host.Get(ctx, p.plugin, id)
	if err == nil {
		return append(dst, data...), nil
	}
	if ctx.Err() != nil {
		return dst, context.Cause(ctx)
	}
	p.failed(err)
	return dst, fmt.Errorf("%w: %s", blobnet.ErrNotFound, err)
}

// Have is of fetch.Haver.
func (p *mirrorPeer) Have(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	if !p.usable() {
		return out, nil
	}
	var ask []blobnet.ID
	p.mu.Lock()
	if time.Since(p.since) > mirrorKnown || len(p.knows) > maxMirrorKnown {
		p.knows, p.since = map[blobnet.ID]bool{}, time.Now()
	}
	for _, id := range ids {
		if _, known := p.knows[id]; !known {
			ask = append(ask, id)
		}
	}
	p.mu.Unlock()
	said := map[blobnet.ID]bool{}
	for len(ask) > 0 {
		some := ask[:min(len(ask), mirrorBatch)]
		has, err := p.n.plugins.host.HasBlobs(ctx, p.plugin, some)
		if err != nil {
			if ctx.Err() == nil {
				p.failed(err)
			}
			return out, err
		}
		for i, id := range some {
			said[id] = has[i]
		}
		ask = ask[len(some):]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, has := range said {
		p.knows[id] = has
	}
	for i, id := range ids {
		out[i] = said[id] || p.knows[id]
	}
	return out, nil
}

func (p *mirrorPeer) usable() bool {
	if p.filler.State().Away {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().After(p.quiet)
}

// failed notes that something failed but that a blob is not there.
func (p *mirrorPeer) failed(err error) {
	if errors.Is(err, blobnet.ErrNotFound) {
		return
	}
	if err = p.n.orAway(p.plugin, err); errors.Is(err, fill.ErrAway) {
		p.filler.Fails(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = time.Now().Add(mirrorQuiet)
}

// lending are the plugins that are fetched from now, and what ends each.
type lending map[string]func()

// lendBound has those fetched from that are bound to channels, and no others.
func (n *Node) lendBound(ctx context.Context, l lending) {
	list, err := n.filling.bindings.all()
	if err != nil {
		return // whoever fills them says so
	}
	bound := map[string]bool{}
	for _, b := range list {
		bound[b.Plugin] = true
		if l[b.Plugin] != nil {
			continue
		}
		if f, err := n.filler(ctx, b.Plugin); err == nil {
			l[b.Plugin] = n.net.bridges.lend(&mirrorPeer{n: n, plugin: b.Plugin, filler: f})
		}
	}
	for plugin, back := range l {
		if !bound[plugin] {
			back()
			delete(l, plugin)
		}
	}
}

// close ends all.
func (l lending) close() {
	for _, back := range l {
		back()
	}
}
