package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/mirror/kept"
)

// MirrorRequest keeps and serves all blobs of channels until its context ends.
type MirrorRequest struct {
	Channels []string `json:"channels"` // addresses, ids or petnames; none: those that were kept last
	Once     bool     `json:"once"`     // end when all that is known now is here
	Timeout  Duration `json:"timeout"`  // with Once: how long to wait without progress; 0: a minute
	End      bool     `json:"end"`      // keep them no longer
	Peers    []string `json:"peers"`

	Fleet FleetRequest `json:"fleet"`
}

// MirrorResult counts what became of it.
type MirrorResult struct {
	Channels int   `json:"channels"`
	Releases int   `json:"releases"` // that are here whole, as far as they are this node's to keep
	Blobs    int64 `json:"blobs"`    // of these, that came from elsewhere
	Bytes    int64 `json:"bytes"`
	Outside  int64 `json:"outside"` // of the blobs, that came from others than members of the group
	LetGo    int64 `json:"letGo"`   // blobs that are not kept any more
}

// MirrorEvent ("mirror") says what a mirror does. Its failures are ErrorEvents.
type MirrorEvent struct {
	Event   string `json:"event"`
	State   string `json:"state"` // following, kept, letGo, members
	Channel string `json:"channel,omitempty"`
	Log     string `json:"log,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Title   string `json:"title,omitempty"`
	Blobs   int64  `json:"blobs"`             // of the release; with letGo: that are kept no longer
	Fetched int64  `json:"fetched"`           // of these, that came from elsewhere
	Bytes   int64  `json:"bytes"`             // of those
	From    string `json:"from,omitempty"`    // outside, members
	Missing int64  `json:"missing,omitempty"` // nobody has these
	Members int    `json:"members,omitempty"` // alive, this one among them
}

// mirrors are the channels that are mirrored, and the file of what is pinned for
// them.
type mirrors struct {
	turn chan struct{} // holds one while the file is opened

	mu      sync.Mutex // guards what follows; held for memory work alone
	running map[channel.ID]bool
	fleets  map[string]*fleet // by network and group
	ledger  *kept.Ledger
}

// has reports whether a channel is mirrored now.
func (m *mirrors) has(id channel.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[id]
}

// all are the channels that are mirrored now.
func (m *mirrors) all() []channel.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.running), channel.ID.Compare)
}

// begin notes that channels are mirrored: each by one request.
func (m *mirrors) begin(ids []channel.ID) (end func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		m.running = map[channel.ID]bool{}
	}
	for i, id := range ids {
		if m.running[id] {
			for _, id := range ids[:i] {
				delete(m.running, id)
			}
			return nil, fmt.Errorf("%s is mirrored by this node already", address(id))
		}
		m.running[id] = true
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, id := range ids {
			delete(m.running, id)
		}
	}, nil
}

// join notes that this node is in a group: once.
func (m *mirrors) join(f *fleet) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fleets == nil {
		m.fleets = map[string]*fleet{}
	}
	if m.fleets[f.name()] != nil {
		return fmt.Errorf("this node is in the group %s already", f.req.Group)
	}
	m.fleets[f.name()] = f
	return nil
}

func (m *mirrors) leave(f *fleet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.fleets, f.name())
}

// fleetOf is the fleet in which a channel is mirrored now; nil if it is not, or alone.
func (m *mirrors) fleetOf(id channel.ID) *fleet {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.fleets {
		if f.workers[id] != nil {
			return f
		}
	}
	return nil
}

// open opens the file, once.
func (m *mirrors) open(ctx context.Context, path string) (*kept.Ledger, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	l := m.ledger
	m.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l, err := kept.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger = l
	return l, nil
}

// close closes the file. Nobody uses it any more.
func (m *mirrors) close() error {
	m.mu.Lock()
	l := m.ledger
	m.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.Close()
}

// Mirror keeps and serves channels: every blob that counts is fetched, pinned and
// announced, and what does not count any more is unpinned. Nothing is written to
// folders, and no read key is used. It emits a ListeningEvent first, MirrorEvents and
// ErrorEvents.
func (n *Node) Mirror(ctx context.Context, req MirrorRequest, emit func(any)) (MirrorResult, error) {
	ledger, err := n.mirrors.open(ctx, n.cfg.Paths.Mirror)
	if err != nil {
		return MirrorResult{}, err
	}
	if err := CheckFleet(req.Fleet); err != nil {
		return MirrorResult{}, err
	}
	if req.Fleet.Group != "" && (req.Once || req.End) {
		return MirrorResult{}, badRequest("--once and --end go without --group")
	}
	if req.End {
		return n.endMirror(ctx, ledger, req.Channels)
	}
	net, err := n.online(ctx)
	if err != nil {
		return MirrorResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return MirrorResult{}, err
	}
	ids, err := n.toMirror(ctx, ledger, req.Channels)
	if err != nil {
		return MirrorResult{}, err
	}
	end, err := n.mirrors.begin(ids)
	if err != nil {
		return MirrorResult{}, err
	}
	defer end()
	defer n.bus.forward(emit, func(about string) bool { return about == aboutPeers })()
	emit(net.listening())
	workers := make([]*mirroring, len(ids))
	group, working := errgroup.WithContext(ctx)
	var fleet *fleet
	if req.Fleet.Group != "" {
		fleet = n.newFleet(net, req.Fleet, emit)
	}
	for i, id := range ids {
		m, err := n.newMirroring(ctx, net, ledger, id, emit)
		if err != nil {
			return MirrorResult{}, err
		}
		workers[i] = m
		if fleet != nil {
			m.fleet, fleet.workers[id] = fleet, m
		}
		if err := n.followMirrored(ctx, id); err != nil {
			return MirrorResult{}, err
		}
	}
	patience := time.Duration(req.Timeout)
	if patience == 0 {
		patience = defaultPatience
	}
	if fleet != nil {
		if err := n.mirrors.join(fleet); err != nil {
			return MirrorResult{}, err
		}
		defer n.mirrors.leave(fleet)
		group.Go(func() error { return fleet.run(working) })
	}
	for _, m := range workers {
		group.Go(func() error {
			if req.Once {
				return m.once(working, patience)
			}
			return m.run(working)
		})
	}
	err = group.Wait()
	res := MirrorResult{Channels: len(ids)}
	for _, m := range workers {
		m.addTo(&res)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

// followMirrored has the node take part in a channel, and serve what is said in it.
func (n *Node) followMirrored(ctx context.Context, id channel.ID) error {
	if err := n.catalog.Expect(ctx, id, catalog.Followed); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	return nil
}

// toMirror are the channels that a request means, each once.
func (n *Node) toMirror(ctx context.Context, ledger *kept.Ledger, names []string) ([]channel.ID, error) {
	ids, err := n.bridged(ctx, names)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		of, err := ledger.Channels(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range of {
			ids = append(ids, channel.ID(id))
		}
		if len(ids) == 0 {
			return nil, badRequest("which channels? none was mirrored before: give their addresses")
		}
	}
	seen := map[channel.ID]bool{}
	var out []channel.ID
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}

// endMirror lets go of channels: their blobs stay in the store until room is needed.
func (n *Node) endMirror(ctx context.Context, ledger *kept.Ledger, names []string) (res MirrorResult, err error) {
	if n.cfg.Network {
		if _, err := n.online(ctx); err != nil {
			return res, err
		}
	}
	ids, err := n.toMirror(ctx, ledger, names)
	if err != nil {
		return res, err
	}
	end, err := n.mirrors.begin(ids)
	if err != nil {
		return res, fmt.Errorf("%w: end that first", err)
	}
	for _, id := range ids {
		var gone int64
		if gone, err = n.unkeep(ctx, ledger, id, forever); err != nil {
			break
		}
		res.Channels++
		res.LetGo += gone
	}
	end()
	return res, errors.Join(err, n.leave(ctx, ""))
}

// forever is older than no round.
const forever = int64(1) << 62

// unkeep takes back the pins of a channel of before a round.
func (n *Node) unkeep(ctx context.Context, ledger *kept.Ledger, id channel.ID, round int64) (count int64, err error) {
	for {
		ids, err := ledger.Older(ctx, kept.Of(id), round, batch)
		if err != nil || len(ids) == 0 {
			return count, err
		}
		if err := ledger.Drop(ctx, kept.Of(id), ids...); err != nil {
			return count, err
		}
		if err := n.disk.Unpin(ctx, ids...); err != nil {
			return count, err
		}
		count += int64(len(ids))
	}
}

// keepPinned pins blobs for a channel, each once.
func (n *Node) keepPinned(ctx context.Context, ledger *kept.Ledger, id channel.ID, round int64, ids []blobnet.ID) error {
	fresh, older, err := ledger.Behind(ctx, kept.Of(id), round, ids...)
	if err != nil {
		return err
	}
	if len(fresh) > 0 {
		if err := n.disk.Pin(ctx, fresh...); err != nil {
			return err
		}
	}
	if len(fresh)+len(older) == 0 {
		return nil
	}
	return ledger.Mark(ctx, kept.Of(id), round, append(fresh, older...)...)
}
