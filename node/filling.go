package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/mirror/fill"
	"github.com/anonymous-media-library/aml/mirror/owed"
	"github.com/anonymous-media-library/aml/plugins"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
)

// filling is the filling of plugins that are mirrors, by what is bound to them.
type filling struct {
	bindings bindings[MirrorBinding]
	path     string        // of the ledger
	changed  chan struct{} // holds one: there may be a plugin more
	turn     chan struct{} // holds one while the ledger is opened

	mu      sync.Mutex // guards what follows; held for memory work alone
	ledger  *owed.Ledger
	fillers map[string]*fill.Filler // by plugin
}

func newFilling() filling {
	return filling{changed: make(chan struct{}, 1), turn: make(chan struct{}, 1), fillers: map[string]*fill.Filler{}}
}

// fillPlugin is a plugin as who fills it sees it.
type fillPlugin struct {
	n  *Node
	id string
}

func (p fillPlugin) Has(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	has, err := p.n.plugins.host.HasBlobs(ctx, p.id, ids)
	return has, p.n.orAway(p.id, err)
}

func (p fillPlugin) Put(ctx context.Context, id blobnet.ID, data []byte) error {
	return p.n.orAway(p.id, p.n.plugins.host.Put(ctx, p.id, id, data))
}

func (p fillPlugin) Delete(ctx context.Context, ids []blobnet.ID) error {
	return p.n.orAway(p.id, p.n.plugins.host.Delete(ctx, p.id, ids))
}

// orAway makes an error say that a plugin's process does not run, if that is so.
func (n *Node) orAway(plugin string, err error) error {
	if err == nil || errors.Is(err, plugins.ErrOff) {
		return err
	}
	for _, s := range n.plugins.host.Status() {
		if s.ID == plugin && s.State == plughost.Waiting {
			return fmt.Errorf("%w: %w; aml plugin-logs %s says why; it is asked again within about an hour, or at once after aml plugin-enable %s", fill.ErrAway, err, plugin, plugin)
		}
	}
	return err
}

// open opens the ledger, once.
func (f *filling) open(ctx context.Context) (*owed.Ledger, error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f.mu.Lock()
	l := f.ledger
	f.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l, err := owed.Open(ctx, f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledger = l
	return l, nil
}

// close closes the ledger. Nobody uses it any more.
func (f *filling) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ledger == nil {
		return nil
	}
	return f.ledger.Close()
}

// used reports whether anything is bound or owed, without making the ledger.
func (f *filling) used() (bool, error) {
	list, err := f.bindings.all()
	if err != nil || len(list) > 0 {
		return len(list) > 0, err
	}
	_, err = os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// bound are the channels that are bound to a plugin.
func (f *filling) bound(plugin string) ([]owed.Of, error) {
	list, err := f.bindings.all()
	var out []owed.Of
	for _, b := range list {
		if b.Plugin != plugin {
			continue
		}
		id, err := channel.ParseID(b.Channel)
		if err != nil { // nothing may be taken for unbound
			return nil, fmt.Errorf("reading %s: %w", f.bindings.path, err)
		}
		out = append(out, owed.Of(id))
	}
	return out, err
}

// filler is who fills a plugin.
func (n *Node) filler(ctx context.Context, plugin string) (*fill.Filler, error) {
	ledger, err := n.filling.open(ctx)
	if err != nil {
		return nil, err
	}
	n.filling.mu.Lock()
	defer n.filling.mu.Unlock()
	f := n.filling.fillers[plugin]
	if f == nil {
		f = fill.New(fill.Config{
			Name: plugin, Plugin: fillPlugin{n, plugin}, Ledger: ledger, Here: n.blobs,
			Bound: func() ([]owed.Of, error) { return n.filling.bound(plugin) },
			List: func(ctx context.Context, of owed.Of) (fill.Listing, error) {
				return n.counting(ctx, channel.ID(of), plugin)
			},
			OnProblem: func(err error) {
				if n.cfg.Resume { // else whoever asked for it is told
					n.log.Warn("filling a mirror", "error", err)
				}
			},
		})
		n.filling.fillers[plugin] = f
	}
	return f, nil
}

// each calls do for all that are filled.
func (f *filling) each(do func(plugin string, f *fill.Filler)) {
	f.mu.Lock()
	fillers := make(map[string]*fill.Filler, len(f.fillers))
	for p, one := range f.fillers {
		fillers[p] = one
	}
	f.mu.Unlock()
	for p, one := range fillers {
		do(p, one)
	}
}

func (f *filling) wake() {
	select {
	case f.changed <- struct{}{}:
	default: // it is going to look anyway
	}
}

// toFill are the plugins that are bound, or owed something.
func (n *Node) toFill(ctx context.Context) ([]string, error) {
	used, err := n.filling.used()
	if err != nil || !used {
		return nil, err
	}
	list, err := n.filling.bindings.all()
	if err != nil {
		return nil, err
	}
	ledger, err := n.filling.open(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ledger.Deleting(ctx)
	for _, b := range list {
		out = append(out, b.Plugin)
	}
	slices.Sort(out)
	return slices.Compact(out), err
}

// fillAgain is how often is looked whether a ledger that could not be opened can be.
const fillAgain = time.Minute

// fillForever fills plugins, and has them fetched from, until ctx ends.
func (n *Node) fillForever(ctx context.Context) error {
	defer n.catalog.Watch(func(id channel.ID, _ feed.Kind) {
		n.filling.each(func(_ string, f *fill.Filler) { f.News(owed.Of(id)) })
	})()
	var group sync.WaitGroup
	defer group.Wait()
	lent := lending{}
	defer lent.close()
	running := map[string]bool{}
	said := ""
	for {
		n.lendBound(ctx, lent)
		names, err := n.toFill(ctx)
		for _, name := range names {
			if running[name] || err != nil {
				continue
			}
			f, bad := n.filler(ctx, name)
			if err = bad; err == nil {
				running[name] = true
				group.Go(func() { f.Run(ctx) })
			}
		}
		var again <-chan time.Time
		if err != nil {
			if ctx.Err() == nil && err.Error() != said {
				said = err.Error()
				n.log.Error("mirrors are not filled", "error", err)
			}
			again = time.After(fillAgain)
		}
		select {
		case <-n.filling.changed:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}
