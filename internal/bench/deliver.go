package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/publisher"
)

// A publishing key may give out 30 releases at once and then one a second. So that
// many can be measured one after the other without waiting, and without loosening
// the limit, they go to as many channels as it takes, each of a key of its own.
const perChannel = 25

// payload is how long a release's text is, so that the manifest has 4 KiB.
const payload = 3800

const (
	bareProtocol protocol.ID = "/aml-bench/meshsub/1.2.0"
	bareTopic                = "bench"
	deliverLimit             = time.Minute // for one release to reach all
)

// station is one node of the network that is measured: a real host, with aml's gossip
// and a catalogue on disk, and beside it bare gossipsub on the same connections.
type station struct {
	host    host.Host
	catalog *catalog.Catalog
	gossip  *gossip.Gossip
	bare    *pubsub.Subscription
	topic   *pubsub.Topic
}

// arrival is what one follower has on its disk, or has heard.
type arrival struct {
	channel channel.ID
	kind    feed.Kind
	at      time.Time
}

// benchDeliver measures the time from the call that publishes a release to the moment
// when every follower has verified it and has it on its disk, and beside it the time
// that bare gossipsub takes to bring a message of the same size to the same nodes.
func benchDeliver(ctx context.Context, o options) (err error) {
	if o.nodes < 1 || o.releases < 1 {
		return errors.New("deliver: want at least a node and a release")
	}
	ctx, cancel := context.WithCancel(ctx)
	var running errgroup.Group
	defer func() {
		cancel()
		err = errors.Join(err, running.Wait())
	}()
	arrived, heard := make(chan arrival, 1024), make(chan arrival, 1024)
	all := make([]*station, o.nodes+1) // the first one publishes
	for i := range all {
		if all[i], err = newStation(ctx, filepath.Join(o.dir, fmt.Sprintf("node%d.db", i)), &running); err != nil {
			return err
		}
		defer all[i].close()
		if i > 0 {
			all[i].catalog.Watch(func(id channel.ID, kind feed.Kind) { arrived <- arrival{id, kind, time.Now()} })
			running.Go(func() error { return listen(ctx, all[i].bare, heard) })
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if err := a.host.Connect(ctx, peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
				return err
			}
		}
	}
	d := &delivery{first: all[0], nodes: o.nodes, arrived: arrived, heard: heard}
	if err := d.found(ctx, o, all, (o.releases+2+perChannel-1)/perChannel); err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	for i := range o.releases + 2 { // two to warm up
		if i == 2 {
			d.aml, d.bare, d.durable = times{}, times{}, nil
		}
		if err := d.release(ctx, i/perChannel); err != nil {
			return err
		}
		if err := d.message(ctx); err != nil {
			return err
		}
	}
	d.report(o)
	return nil
}

func newStation(ctx context.Context, path string, running *errgroup.Group) (*station, error) {
	h, err := floorHost()
	if err != nil {
		return nil, err
	}
	s := &station{host: h}
	if s.catalog, err = catalog.Open(ctx, catalog.Config{Path: path}); err != nil {
		return nil, err
	}
	if s.gossip, err = gossip.New(gossip.Config{Host: h, Ledger: s.catalog}); err != nil {
		return nil, err
	}
	running.Go(func() error { return s.gossip.Run(ctx) })
	// As bare as it comes: no signature, no validation, no score.
	bare, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID), pubsub.WithFloodPublish(true),
		pubsub.WithGossipSubProtocols([]protocol.ID{bareProtocol}, func(pubsub.GossipSubFeature, protocol.ID) bool { return true }))
	if err != nil {
		return nil, err
	}
	if s.topic, err = bare.Join(bareTopic); err != nil {
		return nil, err
	}
	s.bare, err = s.topic.Subscribe()
	return s, err
}

func (s *station) close() {
	_ = s.host.Close()
	_ = s.catalog.Close()
}

// listen tells of every message that comes.
func listen(ctx context.Context, s *pubsub.Subscription, heard chan<- arrival) error {
	for {
		if _, err := s.Next(ctx); err != nil {
			return nil // ctx ended
		}
		heard <- arrival{at: time.Now()}
	}
}

// times are what was measured of one side: when each follower had each release, and
// when the last of them had.
type times struct{ each, last []time.Duration }

// delivery is the run.
type delivery struct {
	first    *station
	nodes    int
	pub      *publisher.Publisher
	channels []channel.ID
	keys     []channel.PrivateKey
	size     int // of the last gossip message
	manifest int // of its first envelope

	mu   sync.Mutex
	told time.Time // when the last release was on the publisher's disk; guarded by mu

	arrived, heard chan arrival
	aml, bare      times
	durable        []time.Duration // from the call until the publisher told others
}

// found makes channels, has all follow them, and waits until everybody has them and
// is in their rooms.
func (d *delivery) found(ctx context.Context, o options, all []*station, channels int) error {
	var err error
	d.pub, err = publisher.New(publisher.Config{Blobs: memstore.New(memstore.Config{}), Ledger: d.first.catalog, Broadcast: d.broadcast})
	if err != nil {
		return err
	}
	for range channels {
		key, err := channel.GenerateKey()
		if err != nil {
			return err
		}
		made, err := d.pub.Create(ctx, publisher.CreateSpec{Topics: []string{"bench"}, Kind: channel.Media, Key: key, KeyDir: filepath.Join(o.dir, "keys")})
		if err != nil {
			return err
		}
		d.channels, d.keys = append(d.channels, made.Channel), append(d.keys, key)
		for _, s := range all {
			if err := s.gossip.Follow(made.Channel, peer.AddrInfo{ID: all[0].host.ID(), Addrs: all[0].host.Addrs()}); err != nil {
				return err
			}
		}
	}
	limit := time.NewTimer(deliverLimit)
	defer limit.Stop()
	for want := d.nodes * channels; want > 0; {
		select {
		case a := <-d.arrived:
			if a.kind == feed.KindRoot {
				want--
			}
		case <-limit.C:
			return errors.New("deliver: not everybody has the channels")
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ready := len(d.first.topic.ListPeers()) == d.nodes
		for _, id := range d.channels {
			ready = ready && len(d.first.gossip.Peers(id)) == d.nodes
		}
		if ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return errors.New("deliver: not everybody is in the rooms")
		}
	}
}

func (d *delivery) broadcast(ctx context.Context, id channel.ID, envelopes ...[]byte) error {
	d.mu.Lock()
	d.told = time.Now()
	d.mu.Unlock()
	if len(envelopes) == 2 {
		message, err := gossip.EncodeBundle(envelopes...)
		if err != nil {
			return err
		}
		d.size, d.manifest = len(message), len(envelopes[0])
	}
	return d.first.gossip.Publish(ctx, id, envelopes...)
}

// release publishes one, and waits until everybody has its manifest and its head.
func (d *delivery) release(ctx context.Context, at int) error {
	text := words(payload)
	began := time.Now()
	out, err := d.pub.Publish(ctx, publisher.Release{Channel: d.channels[at], Key: d.keys[at], Title: "release", Description: text})
	if err = errors.Join(err, out.Unannounced); err != nil {
		return err
	}
	limit := time.NewTimer(deliverLimit)
	defer limit.Stop()
	var last time.Duration
	for manifests, heads := d.nodes, d.nodes; manifests > 0 || heads > 0; {
		select {
		case a := <-d.arrived:
			switch {
			case a.channel != d.channels[at]:
			case a.kind == feed.KindManifest:
				manifests--
				last = a.at.Sub(began)
				d.aml.each = append(d.aml.each, last)
			case a.kind == feed.KindHead:
				heads--
			}
		case <-limit.C:
			return fmt.Errorf("deliver: %d nodes have not had release %d", manifests, out.Seq)
		}
	}
	d.aml.last = append(d.aml.last, last)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable = append(d.durable, d.told.Sub(began))
	return nil
}

// words is a text of made-up words, since a release is indexed for searching: the
// commonest of 2,000 as often as in any language.
func words(size int) string {
	zipf := mathrand.NewZipf(mathrand.New(mathrand.NewPCG(mathrand.Uint64(), 0)), 1.1, 3, 1999)
	text := make([]byte, 0, size+16)
	for len(text) < size {
		n := zipf.Uint64()
		for range 3 {
			text = append(text, "bdfglmnprs"[n%10], "aeiou"[n/10%5])
			n = n/50 + n%7
		}
		text = append(text, ' ')
	}
	return string(text[:size])
}

// message sends one of the same size by bare gossipsub.
func (d *delivery) message(ctx context.Context) error {
	data := make([]byte, d.size)
	_, _ = rand.Read(data)
	began := time.Now()
	if err := d.first.topic.Publish(ctx, data); err != nil {
		return err
	}
	limit := time.NewTimer(deliverLimit)
	defer limit.Stop()
	var last time.Duration
	for range d.nodes {
		select {
		case a := <-d.heard:
			last = a.at.Sub(began)
			d.bare.each = append(d.bare.each, last)
		case <-limit.C:
			return errors.New("deliver: bare gossipsub lost a message")
		}
	}
	d.bare.last = append(d.bare.last, last)
	return nil
}

func (d *delivery) report(o options) {
	fmt.Printf("%d releases, manifest of %d bytes in a message of %d, to %d nodes; milliseconds   p50      p99      max\n", o.releases, d.manifest, d.size, o.nodes)
	line := func(name string, ts []time.Duration) {
		fmt.Printf("%-76s %8.2f %8.2f %8.2f\n", name, quantile(ts, 50), quantile(ts, 99), quantile(ts, 100))
	}
	line("aml: publish until the last node has it, verified and on disk", d.aml.last)
	line("aml: publish until one node has it", d.aml.each)
	line("aml: of it, signing and the publisher's own disk", d.durable)
	line("bare gossipsub: publish until the last node has it, unverified, in memory", d.bare.last)
	line("bare gossipsub: publish until one node has it", d.bare.each)
	fmt.Printf("%-76s %8.2f %8.2f %8.2f\n", "ratio, last node", quantile(d.aml.last, 50)/quantile(d.bare.last, 50),
		quantile(d.aml.last, 99)/quantile(d.bare.last, 99), quantile(d.aml.last, 100)/quantile(d.bare.last, 100))
}

// quantile is the least of the times, in milliseconds, that percent of them do not
// exceed.
func quantile(ts []time.Duration, percent int) float64 {
	s := slices.Sorted(slices.Values(ts))
	return float64(s[max((len(s)*percent+99)/100, 1)-1]) / float64(time.Millisecond)
}
