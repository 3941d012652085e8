package natsbridge

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// past is a log of which little counts any more, with its snapshot.
type past struct {
	c        *channeltest.Channel
	all      [][]byte // manifests, from 1 on
	snapshot []byte
	pages    [][]byte
	live     []channel.Live
}

func newPast(t *testing.T, n, names int) *past {
	t.Helper()
	p := &past{c: channeltest.NewChannel(t, "c")}
	s := newSite(t, "publisher", p.c.ID)
	s.append(p.c.Envelope)
	for i := range n {
		p.all = append(p.all, p.c.Files(fmt.Sprint("file", i%names)))
	}
	s.append(p.all...)
	live, err := s.ledger.Live(t.Context(), p.c.ID, p.c.Key())
	if err != nil {
		t.Fatal(err)
	}
	refs, pages, err := channel.MakePages(p.c.Seq, live)
	if err != nil {
		t.Fatal(err)
	}
	env, err := channel.Snapshot{Format: 1, Channel: p.c.ID, Root: p.c.Root.Version, Log: p.c.Key(), Seq: p.c.Seq, Hash: p.c.Hash,
		Issued: channel.TimeOf(p.c.Now), Pages: refs}.Sign(channeltest.Key(p.c.Name))
	p.snapshot, p.pages, p.live = channeltest.Encode(t, env, err), pages, live
	return p
}

// join is what sync does with a peer that has the log.
func (p *past) join(ctx context.Context, s *site) error {
	if _, err := s.ledger.OfferAll(ctx, [][]byte{p.c.Envelope}); err != nil {
		return err
	}
	o, err := s.ledger.OfferSnapshot(ctx, p.snapshot, p.all[len(p.all)-1], p.pages)
	if err == nil && o.Verdict != feed.Accepted && o.Verdict != feed.Duplicate && o.Verdict != feed.Stale {
		err = fmt.Errorf("%s: %w", o.Verdict, o.Err)
	}
	if err != nil {
		return err
	}
	var owed [][]byte
	for _, l := range p.live {
		owed = append(owed, p.all[l.Seq-1])
	}
	_, err = s.ledger.OfferAll(ctx, owed)
	return err
}

// Whoever fills NATS has joined the log by a snapshot, and sends what came after it. To
// who comes later that is of use once a peer of aml's own network has given the snapshot.
func TestTheEndOfALogIsTakenFromNATSOnceAPeerHasGivenItsSnapshot(t *testing.T) {
	t.Parallel()
	const n, names, after = 40, 3, 7
	p := newPast(t, n, names)
	more := releases(p.c, after)
	s := startServer(t, t.TempDir(), nil)
	left, right := newSite(t, "left", p.c.ID), newSite(t, "right", p.c.ID)
	if err := p.join(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	left.append(more...)
	left.bridge(left.config(s.ClientURL()))
	_, js := client(t, s.ClientURL())
	until(t, "what came after the snapshot is there", func() bool { return messages(t, js, streamManifests) >= after+1 })
	cfg := right.config(s.ClientURL())
	var reached, asked atomic.Bool
	cfg.Sync = func(ctx context.Context, _ channel.ID) error {
		asked.Store(true)
		if !reached.Load() {
			return fmt.Errorf("nobody is reached")
		}
		return p.join(ctx, right)
	}
	right.bridge(cfg)
	until(t, "a peer is asked for", asked.Load)
	if info := right.info(p.c.ID); len(info.Logs) > 0 && info.Logs[0].Seq > 0 {
		t.Errorf("without the snapshot it has release %d", info.Logs[0].Seq)
	}
	reached.Store(true)
	right.has(p.c)
	if got, err := right.ledger.Manifests(t.Context(), p.c.ID, p.c.Key(), n+1, n+after, 256, 1<<20); err != nil || len(got) != after {
		t.Errorf("of what came after the snapshot there are %d, %v", len(got), err)
	}
	info := right.info(p.c.ID)
	if info.Logs[0].Joined != n {
		t.Errorf("joined at %d, want %d", info.Logs[0].Joined, n)
	}
}
