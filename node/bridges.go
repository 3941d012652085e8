package node

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/account"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/httpmirror"
	"github.com/anonymous-media-library/aml/blobnet/wsbridge"
)

// bridges are the ways to and from those who have blobs and do not speak
// libp2p: WebSocket peers and HTTP mirrors.
type bridges struct {
	n    *Node
	net  *network
	ws   *wsbridge.Server   // nil: not served
	http *httpmirror.Server // nil: not served

	mu       sync.Mutex            // guards what follows; held for memory work alone
	peers    map[string]bridgePeer // by name
	replaced []fetch.Peer
	stores   map[string]fetch.Peer // object stores, while they are bridged with
}

// bridgePeer is a peer with the URL by which it was named, which may hold
// secrets.
type bridgePeer struct {
	fetch.Peer
	url string
}

// maxURLs bounds the URLs that requests may name over the life of a node.
const maxURLs = 256

// newBridges opens the ports that are to be served and knows the peers that the
// configuration names.
func (n *Node) newBridges(net *network, s settings) (*bridges, error) {
	b := &bridges{n: n, net: net, peers: map[string]bridgePeer{}, stores: map[string]fetch.Peer{}}
	if s.ws != "" {
		srv, err := wsbridge.NewServer(wsbridge.Config{Addr: s.ws, Store: n.blobs, Upload: net.upload, OnEvent: n.onWS})
		if err == nil {
			err = srv.Listen()
		}
		if err != nil {
			return nil, fmt.Errorf("ws: %w", err)
		}
		b.ws = srv
	}
	if s.http != "" {
		srv, err := httpmirror.NewServer(httpmirror.ServerConfig{
			Addr: s.http, HandlerConfig: httpmirror.HandlerConfig{Store: n.blobs, Upload: net.upload, OnEvent: n.onHTTP},
		})
		if err == nil {
			err = srv.Listen()
		}
		if err != nil {
			return nil, fmt.Errorf("http: %w", err)
		}
		b.http = srv
	}
	return b, b.know(s.peers.urls)
}

// start serves until ctx ends.
func (b *bridges) start(ctx context.Context, group *errgroup.Group) {
	if b.ws != nil {
		group.Go(func() error { return ended("WebSocket bridge", b.ws.Run(ctx)) })
	}
	if b.http != nil {
		group.Go(func() error { return ended("HTTP mirror", b.http.Run(ctx)) })
	}
}

// urls are where others reach what is served here.
func (b *bridges) urls() []string {
	out := []string{}
	if b.ws != nil {
		out = append(out, "ws://"+reachable(b.ws.Addr())+"/")
	}
	if b.http != nil {
		out = append(out, "http://"+reachable(b.http.Addr())+"/")
	}
	return out
}

// reachable is an address to connect to: one that stands for all of this
// machine's is shown as loopback.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}

// know remembers peers that are named by URL. One that differs from an earlier
// one in nothing but user, password and query takes its place: what those were
// may have been wrong, or be no longer valid.
func (b *bridges) know(urls []string) error {
	for _, u := range urls {
		if err := b.knowOne(u); err != nil {
			return err
		}
	}
	return nil
}

func (b *bridges) knowOne(u string) error {
	p, err := b.newPeer(u)
	if err != nil {
		return badRequest("--peer: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, ok := b.peers[p.Name()]
	switch {
	case ok && old.url == u:
		return nil
	case !ok && len(b.peers) >= maxURLs:
		return badRequest("--peer: more than %d URLs; restart the node to forget those of earlier commands", maxURLs)
	}
	// A fetch that runs goes on with the old one, which is closed with the node.
	if ok {
		b.replaced = append(b.replaced, old.Peer)
	}
	b.peers[p.Name()] = bridgePeer{p, u}
	return nil
}

func (b *bridges) newPeer(u string) (fetch.Peer, error) {
	if strings.HasPrefix(u, "ws") {
		// He learns by asking what is here, not unasked.
		cfg := wsbridge.PeerConfig{URL: u, Upload: b.net.upload, OnEvent: b.n.onWS, Limits: wsbridge.Limits{MaxHave: -1}}
		if b.ws != nil { // who serves by WebSocket serves whom he dials, too
			cfg.Store = b.n.blobs
		}
		return wsbridge.NewPeer(cfg)
	}
	return httpmirror.NewPeer(httpmirror.PeerConfig{URL: u, OnEvent: b.n.onHTTP})
}

// list returns the peers named so far. They live as long as the node.
func (b *bridges) list() []fetch.Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []fetch.Peer
	for _, p := range b.peers {
		out = append(out, p.Peer)
	}
	for _, p := range b.stores {
		out = append(out, p)
	}
	return out
}

// lend has blobs fetched from a further peer, also by what fetches already, until the
// function that it returns is called.
func (b *bridges) lend(p fetch.Peer) (back func()) {
	b.mu.Lock()
	b.stores[p.Name()] = p
	b.mu.Unlock()
	each := func(do func(*fetch.Swarm)) {
		b.net.swarms.Range(func(s, _ any) bool {
			do(s.(*fetch.Swarm))
			return true
		})
	}
	each(func(s *fetch.Swarm) { s.Add(p) })
	return func() {
		b.mu.Lock()
		delete(b.stores, p.Name())
		b.mu.Unlock()
		each(func(s *fetch.Swarm) { s.Remove(p.Name()) })
	}
}

// close ends the connections of those peers that hold one.
func (b *bridges) close() {
	for _, p := range append(b.list(), b.replaced...) {
		if c, ok := p.(interface{ Close() error }); ok {
			_ = c.Close() // it only lets go of a connection
		}
	}
}

// onWS takes note of what was moved by WebSocket.
func (n *Node) onWS(e wsbridge.Event) {
	switch e.Kind {
	case wsbridge.KindUpload:
		n.uploaded(e.Peer, e.Bytes, e.Err)
	case wsbridge.KindDownload:
		n.book.Add(host(e.Peer), account.Counts{Useful: e.Bytes}, account.Counts{})
	case wsbridge.KindHave:
		n.told(e.Peer, e.IDs)
	case wsbridge.KindMisbehaviour:
		n.book.Add(host(e.Peer), account.Counts{Wasted: e.Bytes}, account.Counts{})
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer, State: "misbehaved", Message: "sent what breaks the WebSocket protocol, or does not hash to its id"})
	}
}

// onHTTP takes note of what was moved by HTTP.
func (n *Node) onHTTP(e httpmirror.Event) {
	switch e.Kind {
	case httpmirror.KindUpload:
		n.uploaded(host(e.Peer), e.Bytes, e.Err) // a visitor comes by many connections
	case httpmirror.KindDownload:
		n.book.Add(host(e.Peer), account.Counts{Useful: e.Bytes}, account.Counts{})
	case httpmirror.KindMisbehaviour:
		n.book.Add(host(e.Peer), account.Counts{Wasted: e.Bytes}, account.Counts{})
	}
}

// uploaded takes note of a blob, or with err a part of one, that went over a
// bridge.
func (n *Node) uploaded(peer string, bytes int64, err error) {
	sent := account.Counts{Useful: bytes}
	if err != nil {
		sent = account.Counts{Wasted: bytes}
	} else {
		n.bus.send(aboutUploads, UploadEvent{Event: "upload", Peer: peer, Blobs: 1, Size: bytes})
	}
	n.book.Add(host(peer), account.Counts{}, sent)
}

// host is the name under which a peer without an identity is counted.
func host(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}
