package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/natsbridge"
	"github.com/anonymous-media-library/aml/natsbridge/embedded"
)

// NATSServer says which NATS a request is about, and as whom. Without URLs it is
// the built-in one, whose streams lie in this home.
type NATSServer struct {
	URLs    []string `json:"urls"`
	Creds   string   `json:"creds"` // absolute path of a file, and so are the next two
	NKey    string   `json:"nkey"`
	CA      string   `json:"ca"`
	Inbox   string   `json:"inbox"`
	Network string   `json:"network"` // empty: main
}

// BridgeNATSRequest bridges channels with NATS until its context ends.
type BridgeNATSRequest struct {
	NATSServer
	Channels []string `json:"channels"` // addresses, ids or petnames; none: all that this node publishes or follows
	Replicas int      `json:"replicas"` // of streams that are made; 0: 1
	ReadOnly bool     `json:"readOnly"`
	Submit   bool     `json:"submit"`   // hand in as an untrusted publisher
	Listen   string   `json:"listen"`   // of the built-in server: loopback HOST:PORT; empty: no port
	MaxStore int64    `json:"maxStore"` // of the built-in server, bytes; 0: 4 GiB
	Blobs    bool     `json:"blobs"`    // carry them, too, through the object store
	MaxBlobs int64    `json:"maxBlobs"` // of an object store that is made, bytes; 0: natsbridge.DefaultBlobs
	Peers    []string `json:"peers"`
}

// BridgeNATSResult counts what was carried.
type BridgeNATSResult struct {
	Sent  int64 `json:"sent"`  // statements that were put into NATS
	Taken int64 `json:"taken"` // statements that came from there
}

// BridgeEvent ("bridge") says what a bridge does. Its failures are ErrorEvents.
type BridgeEvent struct {
	Event   string `json:"event"`
	State   string `json:"state"`             // connected, disconnected, sent, taken, junk, blobs
	Server  string `json:"server"`            //
	Listen  string `json:"listen,omitempty"`  // where the built-in server can be reached
	Channel string `json:"channel,omitempty"` //
	Count   int    `json:"count,omitempty"`   // statements: roots, manifests, heads and proofs of forks; with blobs: of these, that were put there
	Message string `json:"message,omitempty"`
}

// DeadLettersRequest lists jobs of the work queue that failed for good, or puts
// one back.
type DeadLettersRequest struct {
	NATSServer
	Revive string `json:"revive"` // KIND/ID, empty: none
	Limit  int    `json:"limit"`  // 0: 1000, the newest
}

// DeadLettersResult lists them, the oldest first.
type DeadLettersResult struct {
	Letters []natsbridge.DeadLetter `json:"letters"`
	Older   int                     `json:"older,omitempty"` // that are not listed
}

// natsHome is the built-in server, and which bridges run.
type natsHome struct {
	turn   chan struct{}    // holds one while the server starts or ends
	server *embedded.Server // of who has the turn
	users  int              // of who has the turn

	mu      sync.Mutex // guards what follows; held for memory work alone
	running map[string]bool
	trail   *natsbridge.Trail // of all bridges of this node
}

// use starts the built-in server, or shares the one that runs. done lets it go.
func (h *natsHome) use(ctx context.Context, cfg embedded.Config) (s *embedded.Server, done func(), err error) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if h.server == nil {
		if h.server, err = embedded.Start(cfg); err != nil {
			return nil, nil, err
		}
	} else if cfg.Listen != "" && h.server.URL() == "" {
		return nil, nil, errors.New("the built-in NATS server runs already, without a port: end the command that uses it first")
	}
	h.users++
	return h.server, func() {
		h.turn <- struct{}{}
		defer func() { <-h.turn }()
		if h.users--; h.users == 0 {
			h.server.Shutdown()
			h.server = nil
		}
	}, nil
}

// begin notes that a bridge runs; of one server and network there is one, since
// two would share the place up to which they have read. Bridges are of one server if a
// URL of theirs is, whatever their order. What it cannot see is that names are of one
// machine, or URLs of one cluster.
func (h *natsHome) begin(network string, urls []string) (end func(), err error) {
	keys := make([]string, len(urls))
	for i, u := range urls {
		keys[i] = network + " " + natsPlace(u)
	}
	if len(urls) == 0 {
		keys = []string{network} // the built-in one
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil {
		h.running, h.trail = map[string]bool{}, natsbridge.NewTrail()
	}
	for i, k := range keys {
		if !h.running[k] {
			continue
		}
		if len(urls) == 0 {
			return nil, errors.New("this node bridges with its built-in NATS server already")
		}
		return nil, fmt.Errorf("this node bridges with the NATS at %s already: a bridge takes any number of channels", urls[i])
	}
	for _, k := range keys {
		h.running[k] = true
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, k := range keys {
			delete(h.running, k)
		}
	}, nil
}

// CheckNATS says what is wrong with a server that a request will name, and with
// what the built-in one is to listen on. It needs no node.
func CheckNATS(s NATSServer, listen string) error {
	if s.Network != "" {
		if err := natsbridge.ValidNetwork(s.Network); err != nil {
			return badRequest("%w", err)
		}
	}
	if len(s.URLs) == 0 {
		if s.Creds != "" || s.NKey != "" || s.CA != "" || s.Inbox != "" {
			return badRequest("--creds, --nkey, --ca and --inbox go with --url: the built-in NATS server needs none of them")
		}
		if listen != "" {
			if _, err := embedded.Loopback(listen); err != nil {
				return badRequest("%w", err)
			}
		}
		return nil
	}
	if listen != "" {
		return badRequest("--nats-listen goes without --url: it is for the built-in NATS server")
	}
	if err := (natsbridge.Server{URLs: s.URLs, Creds: s.Creds, NKey: s.NKey, CA: s.CA, Inbox: s.Inbox}).Validate(); err != nil {
		return badRequest("%w", err)
	}
	return nil
}

// nats gives the server of a request, and starts the built-in one if it is that.
func (n *Node) nats(ctx context.Context, s NATSServer, cfg embedded.Config) (natsbridge.Server, *embedded.Server, func(), error) {
	if err := CheckNATS(s, cfg.Listen); err != nil {
		return natsbridge.Server{}, nil, nil, err
	}
	if len(s.URLs) > 0 {
		return natsbridge.Server{URLs: s.URLs, Creds: s.Creds, NKey: s.NKey, CA: s.CA, Inbox: s.Inbox}, nil, func() {}, nil
	}
	cfg.Dir = n.cfg.Paths.NATS
	cfg.Local = localRights(networkOf(s))
	server, done, err := n.natsHome.use(ctx, cfg)
	if err != nil {
		return natsbridge.Server{}, nil, nil, err
	}
	return natsbridge.Server{Local: server}, server, done, nil
}

func networkOf(s NATSServer) string {
	if s.Network == "" {
		return natsbridge.DefaultNetwork
	}
	return s.Network
}

// localRights are what other programs on this machine may do with the built-in
// server's port: read what comes by, and hand in untrusted input.
func localRights(network string) embedded.Rights {
	p := "aml.v1." + network + "."
	return embedded.Rights{Publish: []string{p + "in.>"}, Subscribe: []string{p + "m.>", p + "root.>", p + "head.>", p + "fork.>", p + "event.>"}}
}

// natsName is what this node is called in NATS. It says nothing of its peer id to
// who does not know that.
func (n *Node) natsName() (string, error) {
	id, err := peerID(n.identity)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte("aml-nats-name-v1" + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10])), nil
}

// natsConsumer is what this node's consumers in NATS are called. Who may make consumers
// there could take what they bring away, if he knew it.
func (n *Node) natsConsumer() (string, error) {
	raw, err := n.identity.Raw()
	if err != nil {
		return "", fmt.Errorf("key of this node: %w", err)
	}
	name, err := hkdf.Key(sha256.New, raw, nil, "aml-nats-consumer-v1", 20)
	if err != nil {
		return "", fmt.Errorf("naming consumers in NATS: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(name)), nil
}

// BridgeNATS carries channels to and from NATS until ctx ends. It emits a
// ListeningEvent first, and BridgeEvents.
func (n *Node) BridgeNATS(ctx context.Context, req BridgeNATSRequest, emit func(any)) (BridgeNATSResult, error) {
	var res BridgeNATSResult
	if req.MaxStore < 0 || req.Replicas < 0 || req.Replicas > 5 {
		return res, badRequest("%d replicas, %d bytes of store: want 1 to 5 replicas and a size", req.Replicas, req.MaxStore)
	}
	if req.Replicas > 1 && len(req.URLs) == 0 {
		return res, badRequest("%d replicas: the built-in NATS server is one; --replicas goes with --url", req.Replicas)
	}
	if req.MaxBlobs < 0 || req.Blobs && (req.Submit || len(req.URLs) == 0) {
		return res, badRequest("blobs through NATS: want a size and --url, and not --submit, whose user has no rights on stores")
	}
	if req.Submit && len(req.URLs) == 0 {
		return res, badRequest("--submit goes with --url: it is for a NATS where others bridge")
	}
	if err := CheckNATS(req.NATSServer, req.Listen); err != nil {
		return res, err
	}
	net, err := n.online(ctx)
	if err != nil {
		return res, err
	}
	if err := net.know(req.Peers); err != nil {
		return res, err
	}
	ids, err := n.bridged(ctx, req.Channels)
	if err != nil {
		return res, err
	}
	name, err := n.natsName()
	if err != nil {
		return res, err
	}
	consumer, err := n.natsConsumer()
	if err != nil {
		return res, err
	}
	end, err := n.natsHome.begin(networkOf(req.NATSServer), req.URLs)
	if err != nil {
		return res, err
	}
	defer end()
	server, local, done, err := n.nats(ctx, req.NATSServer, embedded.Config{Listen: req.Listen, MaxStore: req.MaxStore})
	if err != nil {
		return res, err
	}
	defer done()
	var mu sync.Mutex // of res
	followed := bridgedChannels{n: n, only: ids, done: map[channel.ID]bool{}}
	b, err := natsbridge.New(natsbridge.Config{
		Server: server, Ledger: n.catalog, Channels: followed.channels, Name: name, Consumer: consumer, Network: networkOf(req.NATSServer),
		Replicas: req.Replicas, ReadOnly: req.ReadOnly, Submit: req.Submit, Trail: n.natsHome.trail,
		Tell: net.gossip.Publish,
		Sync: func(ctx context.Context, id channel.ID) error {
			_, err := net.gossip.SyncAll(ctx, id)
			return err
		},
		OnEvent: func(e natsbridge.Event) {
			mu.Lock()
			switch e.Kind {
			case natsbridge.EventSent:
				res.Sent += int64(e.Count)
			case natsbridge.EventTaken:
				res.Taken += int64(e.Count)
			}
			mu.Unlock()
			emit(bridgeEvent(e, local))
		},
	})
	if err != nil {
		return res, badRequest("%w", err)
	}
	emit(net.listening())
	if req.Blobs {
		defer n.natsBlobs(ctx, server, req, ids, emit)()
	}
	err = b.Run(ctx)
	if errors.Is(err, natsbridge.ErrConfig) {
		err = badRequest("%w", err)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return res, err
}

func bridgeEvent(e natsbridge.Event, local *embedded.Server) any {
	id := ""
	if !e.Channel.IsZero() {
		id = e.Channel.String()
	}
	if e.Kind == natsbridge.EventFailed {
		return ErrorEvent{Event: "error", Channel: id, Message: "NATS: " + e.Err.Error(), Retry: true}
	}
	out := BridgeEvent{Event: "bridge", State: string(e.Kind), Server: e.Server, Channel: id, Count: e.Count}
	if e.Err != nil {
		out.Message = e.Err.Error()
	}
	if local != nil && e.Kind == natsbridge.EventConnected {
		out.Listen = local.URL()
	}
	return out
}

// bridged are the channels that a request names: they are followed. None are all.
func (n *Node) bridged(ctx context.Context, names []string) ([]channel.ID, error) {
	var ids []channel.ID
	for _, s := range names {
		t, err := n.target(ctx, s)
		if err != nil {
			return nil, err
		}
		if t.topic != "" {
			return nil, badRequest("%q is a topic: name channels, by their addresses", s)
		}
		ids = append(ids, t.address.ID)
	}
	return ids, nil
}

// bridgedChannels says which channels one bridge carries, and has the node take part in
// their gossip: what comes from NATS is passed on there.
type bridgedChannels struct {
	n    *Node
	only []channel.ID // none: all

	done map[channel.ID]bool // of the bridge's goroutine alone
}

func (f *bridgedChannels) channels(ctx context.Context) ([]channel.ID, error) {
	ids := f.only
	if len(ids) == 0 {
		infos, err := f.n.catalog.Channels(ctx)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			if info.Reason >= catalog.Followed {
				ids = append(ids, info.ID)
			}
		}
	}
	for _, id := range ids {
		if f.done[id] {
			continue
		}
		if err := f.n.net.gossip.Follow(id); err != nil {
			return nil, fmt.Errorf("joining the gossip of %s: %w", address(id), err)
		}
		f.done[id] = true
	}
	return ids, nil
}

// DeadLetters lists jobs of the work queue that failed for good.
func (n *Node) DeadLetters(ctx context.Context, req DeadLettersRequest, _ func(any)) (DeadLettersResult, error) {
	res := DeadLettersResult{Letters: []natsbridge.DeadLetter{}}
	kind, id, ok := strings.Cut(req.Revive, "/")
	if req.Revive != "" && !ok {
		return res, badRequest("%q: want KIND/ID, as the list has them", req.Revive)
	}
	server, _, done, err := n.nats(ctx, req.NATSServer, embedded.Config{})
	if err != nil {
		return res, err
	}
	defer done()
	conn, err := natsbridge.Dial(ctx, server, networkOf(req.NATSServer))
	if errors.Is(err, natsbridge.ErrConfig) {
		err = badRequest("%w", err)
	}
	if err != nil {
		return res, err
	}
	defer conn.Close()
	jobs, err := conn.Jobs(ctx, 0) // it looks, and makes nothing
	if err != nil {
		return res, err
	}
	if req.Revive != "" {
		return res, jobs.Revive(ctx, kind, id)
	}
	if req.Limit <= 0 {
		req.Limit = 1000
	}
	res.Letters, res.Older, err = jobs.Dead(ctx, req.Limit)
	return res, err
}
