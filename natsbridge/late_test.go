package natsbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// past is a log of which little counts any more, with its snapshot.
type past struct {
	c        *channeltest.Channel
	all      [][]byte // manifests, from 1 on
	plain    channel.Snapshot
	snapshot []byte
	pages    [][]byte
	live     []channel.Live
}

func newPast(t testing.TB, n, names int) *past {
	t.Helper()
	p := &past{c: channeltest.NewChannel(t, "c")}
	s := newSite(t, "publisher", p.c.ID)
	s.append(p.c.Envelope)
	for i := range n {
		p.all = append(p.all, p.c.Files(fmt.Sprint("file", i%names)))
	}
	s.append(p.all...)
	p.draw(t, s)
	return p
}

// draw makes the snapshot of the log as a site has it.
func (p *past) draw(t testing.TB, s *site) {
	t.Helper()
	live, err := s.ledger.Live(t.Context(), p.c.ID, p.c.Key())
	if err != nil {
		t.Fatal(err)
	}
	refs, pages, err := channel.MakePages(p.c.Seq, live)
	if err != nil {
		t.Fatal(err)
	}
	p.plain = channel.Snapshot{Format: 1, Channel: p.c.ID, Root: p.c.Root.Version, Log: p.c.Key(), Seq: p.c.Seq, Hash: p.c.Hash,
		Issued: channel.TimeOf(p.c.Now), Pages: refs}
	env, err := p.plain.Sign(channeltest.Key(p.c.Name))
	p.pages, p.live, p.snapshot = pages, live, channeltest.Encode(t, env, err)
}

// forged is the snapshot with a signature that is not right.
func (p *past) forged(t *testing.T) []byte {
	t.Helper()
	env, err := p.plain.Sign(channeltest.Key(p.c.Name))
	if err == nil {
		env.Signatures[0].Sig[0] ^= 1
	}
	return channeltest.Encode(t, env, err)
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

// joinedBy has a site that joined the log by its snapshot, and has what came after it.
func (p *past) joinedBy(t *testing.T, name string, after [][]byte) *site {
	t.Helper()
	s := newSite(t, name, p.c.ID)
	if err := p.join(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.append(after...)
	return s
}

// joined says that a site has joined the log by the snapshot, and has all that counts.
func (p *past) joined(t *testing.T, s *site) {
	t.Helper()
	until(t, s.name+" has all that the snapshot lists", func() bool { return s.info(p.c.ID).Logs[0].Owed == 0 })
	l := s.info(p.c.ID).Logs[0]
	if l.Joined != uint64(len(p.all)) || l.Snapshot != l.Joined {
		t.Errorf("%s joined at %d by a snapshot of %d, want %d", s.name, l.Joined, l.Snapshot, len(p.all))
	}
	got, err := s.ledger.LiveManifests(t.Context(), p.c.ID, p.c.Key(), l.SnapshotHash, 1, l.Joined, 1<<20, 1<<30)
	if err != nil || len(got) != len(p.live) {
		t.Fatalf("%s has %d of %d that count, %v", s.name, len(got), len(p.live), err)
	}
	for i, m := range got {
		if string(m) != string(p.all[p.live[i].Seq-1]) {
			t.Errorf("%s: what counts as number %d is another", s.name, p.live[i].Seq)
		}
	}
}

// Whoever fills NATS has joined the log by a snapshot. Who comes later joins by it, too,
// and reaches nobody but NATS.
func TestALogWithGapsIsJoinedOverNATSAlone(t *testing.T) {
	t.Parallel()
	for _, n := range []int{40, 300} { // a gap that is looked at one by one, and one that is not
		p := newPast(t, n, 5)
		s := startServer(t, t.TempDir(), nil)
		left := p.joinedBy(t, "left", releases(p.c, 100))
		left.append(p.c.Head(time.Hour))
		left.bridge(left.config(s.ClientURL()))
		_, js := client(t, s.ClientURL())
		until(t, "all is there", func() bool { return messages(t, js, streamManifests) == 1+5+100 })
		for _, name := range []string{"right", "later"} {
			late := newSite(t, name, p.c.ID)
			late.bridge(late.config(s.ClientURL()))
			late.has(p.c)
			p.joined(t, late)
			left.stop() // it is needed no more
		}
		if written := everWritten(t, js, streamSnapshots); written != 1 {
			t.Errorf("%d snapshots were written", written)
		}
	}
}

// The whole log lies there, and a snapshot: whichever comes first, all is taken in that
// counts, and nothing of the log is taken for junk.
func TestASnapshotBesideAWholeLogTakesNothingOut(t *testing.T) {
	t.Parallel()
	p := newPast(t, 60, 4)
	s := startServer(t, t.TempDir(), nil)
	left := newSite(t, "left", p.c.ID)
	left.append(p.c.Envelope)
	left.append(p.all...)
	if err := left.ledger.AppendSnapshot(t.Context(), p.snapshot, p.pages); err != nil {
		t.Fatal(err)
	}
	left.append(releases(p.c, 3)...)
	left.bridge(left.config(s.ClientURL()))
	_, js := client(t, s.ClientURL())
	until(t, "all is there", func() bool {
		return messages(t, js, streamManifests) == 64 && messages(t, js, streamSnapshots) == 1
	})
	for _, name := range []string{"a", "b", "c"} {
		late := newSite(t, name, p.c.ID)
		late.bridge(late.config(s.ClientURL()))
		late.has(p.c)
		until(t, name+" owes nothing", func() bool { return late.info(p.c.ID).Logs[0].Owed == 0 })
		if junk := late.saw(EventJunk); len(junk) > 0 {
			t.Errorf("%s took for junk: %v", name, junk[0].Err)
		}
	}
	if now := messages(t, js, streamManifests); now != 64 {
		t.Errorf("%d messages are left of 64", now)
	}
}

// An older snapshot never takes the place of a newer one, also where a bridge is behind
// and what lies there cannot be judged by it yet.
func TestAnOlderSnapshotReplacesNoNewerOne(t *testing.T) {
	t.Parallel()
	p := newPast(t, 40, 4)
	whole := newSite(t, "whole", p.c.ID)
	whole.append(p.c.Envelope)
	whole.append(p.all...)
	if err := whole.ledger.AppendSnapshot(t.Context(), p.snapshot, p.pages); err != nil {
		t.Fatal(err)
	}
	q := *p
	more := releases(q.c, 5)
	whole.append(more...)
	q.all = append(slices.Clone(p.all), more...)
	q.draw(t, whole)
	if err := whole.ledger.AppendSnapshot(t.Context(), q.snapshot, q.pages); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, t.TempDir(), nil)
	behind := p.joinedBy(t, "behind", nil)
	whole.bridge(whole.config(s.ClientURL()))
	_, js := client(t, s.ClientURL())
	name := newNames(DefaultNetwork).snapshot(p.c.ID, p.c.Key())
	there := func(want *past) bool {
		st, err := js.Stream(t.Context(), newNames(DefaultNetwork).stream(streamSnapshots))
		if err != nil {
			return false
		}
		m, err := st.GetLastMsgForSubject(t.Context(), name)
		if err != nil {
			return false
		}
		b, err := decodeSnapshot(m.Data)
		return err == nil && bytes.Equal(b.envelope, want.snapshot)
	}
	until(t, "the newer one is there", func() bool { return there(&q) })
	whole.stop()
	behind.bridge(behind.config(s.ClientURL()))
	behind.has(p.c)
	until(t, "the one behind has it", func() bool { return behind.info(p.c.ID).Logs[0].Snapshot == 45 })
	if written := everWritten(t, js, streamSnapshots); written != 1 || !there(&q) {
		t.Errorf("%d snapshots were written, the newer one is there: %v", written, there(&q))
	}
	behind.stop()
	// The other way round: the older one lies there, and makes room.
	old, err := (bundle{envelope: p.snapshot, anchor: p.all[39], pages: p.pages}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), name, old); err != nil {
		t.Fatal(err)
	}
	whole.bridge(whole.config(s.ClientURL()))
	until(t, "the newer one is there again", func() bool { return there(&q) })
}

// What is no snapshot, or not that of the log, or not the whole of it, takes no place
// and is taken out.
func TestJunkInThePlaceOfASnapshotIsTakenOut(t *testing.T) {
	t.Parallel()
	p := newPast(t, 40, 4)
	other := channeltest.NewChannel(t, "other")
	s := startServer(t, t.TempDir(), nil)
	after := releases(p.c, 3)
	left := p.joinedBy(t, "left", after)
	left.bridge(left.config(s.ClientURL()))
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	name := n.snapshot(p.c.ID, p.c.Key())
	good := bundle{envelope: p.snapshot, anchor: p.all[39], pages: p.pages}
	right := good
	var junk [][]byte
	junk = append(junk, []byte("junk"), p.snapshot)
	for _, change := range []func(*bundle){
		func(b *bundle) { b.anchor = p.all[38] },
		func(b *bundle) { b.pages = [][]byte{nil} },
		func(b *bundle) { b.pages = append(slices.Clone(b.pages), b.pages[0]) },
		func(b *bundle) { b.envelope = p.all[0] },
		func(b *bundle) { b.envelope = p.forged(t) },
	} {
		b := right
		change(&b)
		data, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		junk = append(junk, data)
	}
	// One that claims to be newer, under a root that nobody knows, so that the ledger
	// cannot say that it is wrong.
	whole, newer := newSite(t, "whole", p.c.ID), *p
	whole.append(p.c.Envelope)
	whole.append(p.all...)
	whole.append(after...)
	newer.draw(t, whole)
	newer.plain.Root = 99
	data, err := (bundle{envelope: newer.forged(t), anchor: after[2], pages: newer.pages}).encode()
	if err != nil {
		t.Fatal(err)
	}
	junk = append(junk, data)
	until(t, "the snapshot is there", func() bool { return messages(t, js, streamSnapshots) == 1 })
	for i, data := range junk {
		if _, err := js.Publish(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		if i < len(junk)-1 {
			if _, err := js.Publish(t.Context(), n.snapshot(p.c.ID, other.Key()), data); err != nil {
				t.Fatal(err)
			}
		}
		st, err := js.Stream(t.Context(), n.stream(streamSnapshots))
		if err != nil {
			t.Fatal(err)
		}
		until(t, fmt.Sprintf("junk %d has made room", i), func() bool {
			m, err := st.GetLastMsgForSubject(t.Context(), name)
			if err != nil {
				return false
			}
			b, err := decodeSnapshot(m.Data)
			return err == nil && bytes.Equal(b.envelope, p.snapshot) && messages(t, js, streamSnapshots) == 1
		})
	}
	late := newSite(t, "late", p.c.ID)
	late.bridge(late.config(s.ClientURL()))
	late.has(p.c)
	p.joined(t, late)
}

// large is a ledger whose snapshot has more pages than a message takes.
type large struct{ Shelf }

func (large) Snapshot(context.Context, channel.ID, channel.PublicKey) (s catalog.Snapshot, err error) {
	s.Pages, s.Envelope, s.Anchor = make([]channel.PageRef, 5), []byte{1}, []byte{2}
	return s, nil
}

func (large) Pages(_ context.Context, _ channel.ID, _ channel.PublicKey, _ channel.Hash, _, last, _, _ int) (pages [][]byte, next int, err error) {
	for range 5 {
		pages = append(pages, make([]byte, 36<<10))
	}
	return pages, last + 1, nil
}

// A part of a snapshot is none.
func TestASnapshotThatIsInNoMessageIsNotCutShort(t *testing.T) {
	t.Parallel()
	s := &session{shelf: large{}}
	if b, err := s.ownBundle(t.Context(), channel.ID{}, channel.PublicKey{}); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("%d pages, %v", len(b.pages), err)
	}
	b := bundle{envelope: make([]byte, 40<<10), anchor: make([]byte, 60<<10), pages: [][]byte{make([]byte, 36<<10)}}
	if _, err := b.encode(); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// An account of before gives no rights on the stream of snapshots. All else goes on.
func TestABridgeWithoutRightsOnSnapshotsGoesOn(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.*.aml_main_SNAPSHOTS", "aml.v1.main.snap.>"}}}}}
	})
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 3)
	left.append(want...)
	local := inProcess{s, "u", "p"}
	for _, at := range []*site{left, right} {
		cfg := at.config()
		cfg.Server = Server{Local: local}
		at.bridge(cfg)
	}
	right.has(c)
	right.whole(c, want)
	if len(left.saw(EventFailed)) == 0 {
		t.Error("nothing is said of the rights that are missing")
	}
}

// inProcess is a server in this process, with a user.
type inProcess struct {
	*server.Server
	user, password string
}

func (s inProcess) Login() (user, password string) { return s.user, s.password }
func (inProcess) Trouble() error                   { return nil }

// A bridge that sends no snapshots has joined the log by one, and sends what came after
// it. To who comes later that is of use once a peer of aml's own network has given it.
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
	former := left.config(s.ClientURL())
	former.Ledger = struct{ Ledger }{left.ledger}
	left.bridge(former)
	_, js := client(t, s.ClientURL())
	until(t, "what came after the snapshot is there", func() bool { return messages(t, js, streamManifests) >= after+1 })
	cfg := right.config(s.ClientURL())
	var asked atomic.Bool
	cfg.Sync = func(ctx context.Context, _ channel.ID) error {
		asked.Store(true)
		return p.join(ctx, right)
	}
	right.bridge(cfg)
	right.has(p.c)
	if !asked.Load() {
		t.Error("it has the log, and nobody was asked")
	}
	if got, err := right.ledger.Manifests(t.Context(), p.c.ID, p.c.Key(), n+1, n+after, 256, 1<<20); err != nil || len(got) != after {
		t.Errorf("of what came after the snapshot there are %d, %v", len(got), err)
	}
	info := right.info(p.c.ID)
	if info.Logs[0].Joined != n {
		t.Errorf("joined at %d, want %d", info.Logs[0].Joined, n)
	}
}
