package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/publisher/intake"
)

// SourceSpec binds a plugin with hook Source to a channel: what it brings is
// published there.
type SourceSpec struct {
	Name    string   `json:"name"`    // among those of this home; empty: the plugin's id
	Plugin  string   `json:"plugin"`  //
	Target  string   `json:"target"`  // topic or address, as for publishing
	From    string   `json:"from"`    // what the plugin is told, such as a URL
	Every   Duration `json:"every"`   // how often a daemon polls; 0: every hour
	KeyFile string   `json:"keyFile"` // that signs; empty: this node's own
	MaxFile int64    `json:"maxFile"` // bytes of one file; 0: 4 GiB
}

// SourceInfo is a source and how it fares.
type SourceInfo struct {
	SourceSpec
	Channel string        `json:"channel,omitempty"` // once there is one
	Address string        `json:"address,omitempty"`
	Polled  channel.Time  `json:"polled,omitzero"` // when that began last
	Next    channel.Time  `json:"next,omitzero"`
	Last    intake.Result `json:"last"`              // what that did
	Error   string        `json:"error,omitempty"`   // why it failed
	Fails   int           `json:"fails,omitempty"`   // in a row
	Problem string        `json:"problem,omitempty"` // why a thing was not published
	Cursor  []byte        `json:"cursor,omitempty"`  // of the plugin
}

// SourceListResult lists sources by name.
type SourceListResult struct {
	Sources []SourceInfo `json:"sources"`
}

// SourceRequest names a source; for polling, empty means all.
type SourceRequest struct {
	Name string `json:"name"`
}

// SourceEvent ("source") says what a poll has done.
type SourceEvent struct {
	Event   string        `json:"event"`
	Name    string        `json:"name"`
	Channel string        `json:"channel,omitempty"`
	Result  intake.Result `json:"result"`
	Error   string        `json:"error,omitempty"`
}

const (
	defaultEvery = time.Hour
	minEvery     = time.Minute
	maxPolls     = 4              // of one plugin at a time, so that it holds up none of another
	maxPoll      = 24 * time.Hour // one that intake has not ended by then hangs in a file
	maxFrom      = 4 << 10
)

// polling is what polls of sources share.
type polling struct {
	bindings bindings[SourceInfo]
	changed  chan struct{} // holds one: look again when the next is due

	mu  sync.Mutex
	now map[string]*pollingNow // by name
}

// pollingNow is a poll that is going on.
type pollingNow struct {
	ended  chan struct{} // closed at the end
	cancel context.CancelCauseFunc
}

// errSourceGone ends a poll.
var errSourceGone = errors.New("it was removed or changed meanwhile")

// SourceAdd binds a source, or changes one of that name.
func (n *Node) SourceAdd(ctx context.Context, spec SourceSpec, _ func(any)) (SourceInfo, error) {
	spec.Name = cmp.Or(spec.Name, spec.Plugin)
	p, err := n.plugins.shelf.Get(spec.Plugin)
	if err != nil {
		return SourceInfo{}, err
	}
	if p.Err == nil && !p.Manifest.Has(plugins.Source) {
		return SourceInfo{}, badRequest("plugin %s has no hook %s; it has %v", p.ID, plugins.Source, p.Manifest.Hooks)
	}
	if needs := p.Without(plugins.Source); p.Err == nil && len(needs) > 0 {
		return SourceInfo{}, fmt.Errorf("plugin %s, hook %s: %w: %v; %s", p.ID, plugins.Source, plugins.ErrNotGranted, needs, p.HowToEnable(p.Manifest, plugins.Source))
	}
	if !plugins.ValidID(spec.Name) {
		return SourceInfo{}, badRequest("name %q: want 1 to 32 of a-z, 0-9 and single hyphens, beginning with a letter", spec.Name)
	}
	if err := CheckTargets(spec.Target); err != nil {
		return SourceInfo{}, err
	}
	if spec.From == "" || len(spec.From) > maxFrom || strings.ContainsFunc(spec.From, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return SourceInfo{}, badRequest("from: want what the plugin is to read, of 1 to %d bytes", maxFrom)
	}
	if spec.Every != 0 && time.Duration(spec.Every) < minEvery {
		return SourceInfo{}, badRequest("every %v: want at least %v", time.Duration(spec.Every), minEvery)
	}
	if spec.MaxFile < 0 {
		return SourceInfo{}, badRequest("max-file %d is negative", spec.MaxFile)
	}
	info, changed := SourceInfo{SourceSpec: spec}, false
	err = n.sources.bindings.change(func(list []SourceInfo) ([]SourceInfo, error) {
		i := slices.IndexFunc(list, func(s SourceInfo) bool { return s.Name == spec.Name })
		if i < 0 {
			list = append(list, info)
		} else {
			if list[i].Plugin == spec.Plugin && list[i].From == spec.From && list[i].Target == spec.Target {
				info.Cursor, info.Channel, info.Address = list[i].Cursor, list[i].Channel, list[i].Address
			}
			changed = list[i].SourceSpec != spec
			list[i] = info
		}
		slices.SortFunc(list, func(a, b SourceInfo) int { return cmp.Compare(a.Name, b.Name) })
		return list, nil
	})
	if err == nil && changed {
		err = n.sources.stop(ctx, spec.Name)
	}
	n.sources.wake()
	return info, err
}

// SourceList lists sources.
func (n *Node) SourceList(context.Context, None, func(any)) (SourceListResult, error) {
	list, err := n.sources.bindings.all()
	return SourceListResult{Sources: list}, err
}

// SourceRemove ends a source, also a poll that is going on. What it has published
// stays.
func (n *Node) SourceRemove(ctx context.Context, req SourceRequest, _ func(any)) (None, error) {
	err := n.sources.bindings.change(func(list []SourceInfo) ([]SourceInfo, error) {
		i := slices.IndexFunc(list, func(s SourceInfo) bool { return s.Name == req.Name })
		if i < 0 {
			return nil, unknownSource(req.Name)
		}
		return slices.Delete(list, i, i+1), nil
	})
	if err == nil {
		err = n.sources.stop(ctx, req.Name)
	}
	return None{}, err
}

func unknownSource(name string) error {
	return notFound("no source is called %.80q; see aml source-list", name)
}

// SourcePoll polls now, one source or all. It fails if one of them has.
func (n *Node) SourcePoll(ctx context.Context, req SourceRequest, emit func(any)) (SourceListResult, error) {
	list, err := n.sources.bindings.all()
	if err != nil {
		return SourceListResult{}, err
	}
	res := SourceListResult{Sources: []SourceInfo{}}
	var errs []error
	for _, s := range list {
		if req.Name != "" && s.Name != req.Name {
			continue
		}
		polling, err := n.sources.wait(ctx, s.Name)
		if err != nil {
			return res, err
		}
		info, err := n.poll(polling, s.Name, emit)
		n.sources.end(s.Name)
		n.sources.wake()
		res.Sources = append(res.Sources, info)
		errs = append(errs, err)
	}
	if req.Name != "" && len(res.Sources) == 0 {
		return res, unknownSource(req.Name)
	}
	return res, errors.Join(errs...)
}

// poll polls a source once, and keeps what came of it. Nobody else may do so.
func (n *Node) poll(ctx context.Context, name string, emit func(any)) (SourceInfo, error) {
	list, err := n.sources.bindings.all()
	if err != nil {
		return SourceInfo{}, err
	}
	i := slices.IndexFunc(list, func(s SourceInfo) bool { return s.Name == name })
	if i < 0 {
		return SourceInfo{}, unknownSource(name)
	}
	info := list[i]
	began := time.Now()
	problem := ""
	bounded, cancel := context.WithTimeoutCause(ctx, maxPoll, fmt.Errorf("it was not polled within %v", maxPoll))
	defer cancel()
	res, err := n.take(bounded, &info, emit, func(item string, err error) {
		n.log.Warn("not published", "source", name, "item", item, "error", err)
		problem = fmt.Sprintf("%s: %v", item, err)
	})
	info.Polled, info.Last, info.Problem, info.Error = channel.TimeOf(began), res, problem, ""
	if info.Fails++; err == nil {
		info.Fails = 0
	} else {
		info.Error = err.Error()
	}
	info.Next = channel.TimeOf(began.Add(pollPause(info)))
	if ctx.Err() == nil { // else it was neither well nor ill
		if saved := n.keepSource(info); err == nil {
			err = saved
		}
		n.bus.send(aboutSources, SourceEvent{Event: "source", Name: name, Channel: info.Channel, Result: res, Error: info.Error})
	}
	if err != nil {
		err = fmt.Errorf("source %s: %w", name, err)
	}
	return info, err
}

// pollPause is how long after a poll the next one comes, a tenth more or less.
func pollPause(s SourceInfo) time.Duration {
	every := cmp.Or(time.Duration(s.Every), defaultEvery)
	if s.Fails > 0 {
		every = min(every, minEvery<<min(s.Fails-1, 10))
	}
	return every + time.Duration((rand.Float64()-0.5)/5*float64(every))
}

// keepSource keeps how a source fares, unless it was removed or changed.
func (n *Node) keepSource(info SourceInfo) error {
	return n.sources.bindings.change(func(list []SourceInfo) ([]SourceInfo, error) {
		for i, s := range list {
			if s.SourceSpec == info.SourceSpec {
				list[i] = info
			}
		}
		return list, nil
	})
}

// take does what a poll is for.
func (n *Node) take(ctx context.Context, info *SourceInfo, emit func(any), problem func(string, error)) (intake.Result, error) {
	to, err := n.publication(ctx, PublishRequest{Topic: info.Target, KeyFile: info.KeyFile})
	if err != nil {
		return intake.Result{}, err
	}
	temp, err := n.plugins.shelf.Temp()
	if err != nil {
		return intake.Result{}, err
	}
	if to.found {
		info.Channel, info.Address = to.own.Channel.String(), address(to.own.Channel)
	}
	asked := false
	return intake.Poll(ctx, intake.Config{
		Name: info.Name, Channel: to.own.Channel, Source: sourcePlugin{n.plugins.host, info.Plugin, info.From}, View: n.catalog,
		Temp: temp, MaxFile: info.MaxFile, Problem: problem,
		Publish: func(ctx context.Context, d channel.Draft) (channel.ID, error) {
			res, err := n.Publish(ctx, PublishRequest{Topic: info.Target, KeyFile: info.KeyFile, draft: &d, asked: asked}, emit)
			if err != nil {
				return channel.ID{}, err
			}
			asked = true // once a poll is enough: a feed may have thousands
			info.Channel, info.Address = res.Channel, res.Address
			return channel.ParseID(res.Channel)
		},
		Save: func(cursor []byte) error {
			info.Cursor = cursor
			return n.keepSource(*info)
		},
	}, info.Cursor)
}

// sourcePlugin is a plugin as intake sees it.
type sourcePlugin struct {
	host     *plughost.Host
	id, from string
}

func (s sourcePlugin) Poll(ctx context.Context, cursor []byte, each func(*intake.Item, []byte) error) error {
	return s.host.Poll(ctx, s.id, s.from, cursor, func(item *pluginv1.SourceItem, cursor []byte) error {
		if item == nil {
			return each(nil, cursor)
		}
		out := &intake.Item{ID: item.Id, Version: item.Version, Title: item.Title, Description: item.Description, Metadata: item.Metadata, Removed: item.Removed}
		if item.Date > 0 {
			out.Date = time.Unix(item.Date, 0)
		}
		for _, f := range item.Files {
			out.Files = append(out.Files, intake.File{
				Name: f.GetName(), Handle: f.GetHandle(), Attrs: f.GetAttrs(), Optional: f.GetOptional(), MediaType: f.GetMediaType(), Size: f.GetSize(),
			})
		}
		return each(out, cursor)
	})
}

func (s sourcePlugin) Open(ctx context.Context, handle string, offset, limit int64, w io.Writer) error {
	err := s.host.Open(ctx, s.id, handle, uint64(offset), limit, w)
	if errors.Is(err, plughost.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", intake.ErrTooLarge, err)
	}
	return err
}

// begin says that a source is being polled, if it is not, and returns what the poll
// may go on by; else it returns what is closed when that has ended.
func (p *polling) begin(ctx context.Context, name string) (_ context.Context, busy <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now[name]; now != nil {
		return nil, now.ended
	}
	if p.now == nil {
		p.now = map[string]*pollingNow{}
	}
	now := &pollingNow{ended: make(chan struct{})}
	ctx, now.cancel = context.WithCancelCause(ctx)
	p.now[name] = now
	return ctx, nil
}

// wait begins once nobody else polls it.
func (p *polling) wait(ctx context.Context, name string) (context.Context, error) {
	for {
		polling, busy := p.begin(ctx, name)
		if busy == nil {
			return polling, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// stop ends a poll that is going on, and waits for that.
func (p *polling) stop(ctx context.Context, name string) error {
	p.mu.Lock()
	now := p.now[name]
	p.mu.Unlock()
	if now == nil {
		return nil
	}
	now.cancel(errSourceGone)
	select {
	case <-now.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *polling) end(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[name].cancel(nil)
	close(p.now[name].ended)
	delete(p.now, name)
}

func (p *polling) wake() {
	select {
	case p.changed <- struct{}{}:
	default: // it is going to look anyway
	}
}

// pollForever polls each source when it is due, until ctx ends.
func (n *Node) pollForever(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	places := map[string]chan struct{}{} // by plugin
	for {
		list, err := n.sources.bindings.all()
		if err != nil {
			n.log.Error("sources are not polled", "error", err)
		}
		now, next := time.Now(), time.Now().Add(defaultEvery)
		for _, s := range list {
			if due := s.Next.Time(); s.Next != 0 && due.After(now) {
				next = earlier(next, due)
				continue
			}
			mine := places[s.Plugin]
			if mine == nil {
				mine = make(chan struct{}, maxPolls)
				places[s.Plugin] = mine
			}
			select {
			case mine <- struct{}{}:
			default:
				continue // an end wakes us
			}
			polling, busy := n.sources.begin(ctx, s.Name)
			if busy != nil {
				<-mine
				continue // its end wakes us
			}
			group.Go(func() {
				n.pollOne(polling, s.Name)
				<-mine
				n.sources.wake()
			})
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-n.sources.changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// pollOne polls a source that has begun.
func (n *Node) pollOne(ctx context.Context, name string) {
	defer n.sources.end(name)
	info, err := n.poll(ctx, name, func(any) {})
	if err == nil || ctx.Err() != nil {
		return
	}
	n.log.Warn("polling", "error", err)
	if info.Error == "" { // when it is due next could not be kept
		timer := time.NewTimer(minEvery)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
