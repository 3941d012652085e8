package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// drawn is a snapshot of a channel's log, as a publisher makes it.
type drawn struct {
	envelope []byte
	pages    [][]byte
	live     []uint64
	all      []channel.Live
}

func draw(t testing.TB, c *Catalog, ch *channeltest.Channel) drawn {
	t.Helper()
	live, err := c.Live(t.Context(), ch.ID, ch.Key())
	if err != nil {
		t.Fatal(err)
	}
	return drawOf(t, ch, live)
}

func drawOf(t testing.TB, ch *channeltest.Channel, live []channel.Live) drawn {
	t.Helper()
	refs, pages, err := channel.MakePages(ch.Seq, live)
	if err != nil {
		t.Fatal(err)
	}
	env, err := channel.Snapshot{Format: 1, Channel: ch.ID, Root: ch.Root.Version, Log: ch.Key(), Seq: ch.Seq, Hash: ch.Hash,
		Issued: channel.TimeOf(ch.Now), Pages: refs}.Sign(channeltest.Key(ch.Name))
	d := drawn{envelope: channeltest.Encode(t, env, err), pages: pages, all: live}
	for _, l := range live {
		d.live = append(d.live, l.Seq)
	}
	return d
}

// appended draws a snapshot and takes it in.
func appended(t testing.TB, c *Catalog, ch *channeltest.Channel) drawn {
	t.Helper()
	d := draw(t, c, ch)
	if err := c.AppendSnapshot(t.Context(), d.envelope, d.pages); err != nil {
		t.Fatal(err)
	}
	return d
}

func join(t testing.TB, c *Catalog, d drawn, anchor []byte, want feed.Verdict) feed.Outcome {
	t.Helper()
	o, err := c.OfferSnapshot(t.Context(), d.envelope, anchor, d.pages)
	if err != nil || o.Verdict != want {
		t.Fatalf("snapshot %d: %s (%v, %v), want %s", o.Seq, o.Verdict, o.Err, err, want)
	}
	return o
}

func logOf(t testing.TB, c *Catalog, ch *channeltest.Channel) LogInfo {
	t.Helper()
	for _, l := range info(t, c, ch.ID).Logs {
		if l.Log == ch.Key() {
			return l
		}
	}
	return LogInfo{}
}

// alive works out from the releases of a log alone which of them count.
func alive(t testing.TB, releases [][]byte) []uint64 {
	t.Helper()
	newest := make(map[string]uint64)
	for i, e := range releases {
		env, err := channel.DecodeEnvelope(e)
		if err != nil {
			t.Fatal(err)
		}
		m, err := channel.OpenManifest(env)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range m.Body.Entries {
			newest[entry.Name] = uint64(i + 1)
		}
		for _, r := range m.Body.Removals {
			newest[r.Name] = uint64(i + 1)
		}
	}
	out := []uint64{uint64(len(releases))}
	for _, seq := range newest {
		if !slices.Contains(out, seq) {
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out
}

// Two publishers say things about the same names, and become known in any order:
// what counts on a log depends on that log alone. So it stays right when the other
// is withdrawn.
func TestWhatCountsOnALogIsWhatThatLogSaidLast(t *testing.T) {
	alice, bob, releases := twoLogs(t)
	founder := channeltest.NewChannel(t, "alice")
	for seed := range uint64(4) {
		path := filepath.Join(t.TempDir(), "aml.db")
		c := open(t, path)
		follow(t, c, founder)
		offer(t, c, alice.Envelope, feed.Accepted)
		rng := rand.New(rand.NewPCG(seed, 5))
		for next := [2]int{}; next[0]+next[1] < 40; {
			log := rng.IntN(2)
			if next[log] == 20 {
				log = 1 - log
			}
			offer(t, c, releases[log][next[log]], feed.Accepted)
			next[log]++
		}
		check := func(when string) {
			for i, ch := range []*channeltest.Channel{alice, bob} {
				if got, want := draw(t, c, ch).live, alive(t, releases[i]); !slices.Equal(got, want) {
					t.Errorf("seed %d, %s: of %s's releases %v count, want %v", seed, when, ch.Name, got, want)
				}
			}
		}
		check("as they came")
		// A file of the program before this one has no rows of what was outdone.
		if err := c.update(t.Context(), "forgetting", func(t *tx) error {
			if _, err := t.exec("DELETE FROM outdone"); err != nil {
				return err
			}
			_, err := t.exec("INSERT INTO unsaid SELECT no FROM channels")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		check("worked out again")
	}
}

// Whoever joins by snapshots sees what those see who have everything, serves it
// on, and goes on where it was stopped.
func TestJoinedLogShowsWhatTheWholeOneShows(t *testing.T) {
	alice, bob, releases := twoLogs(t)
	founder := channeltest.NewChannel(t, "alice")
	whole := followed(t, founder)
	offer(t, whole, alice.Envelope, feed.Accepted)
	for i := range 20 {
		offer(t, whole, releases[0][i], feed.Accepted)
		offer(t, whole, releases[1][i], feed.Accepted)
	}
	path := filepath.Join(t.TempDir(), "aml.db")
	late := open(t, path)
	follow(t, late, founder)
	offer(t, late, alice.Envelope, feed.Accepted)
	for i, ch := range []*channeltest.Channel{alice, bob} {
		d := appended(t, whole, ch)
		o := join(t, late, d, releases[i][19], feed.Accepted)
		if l := logOf(t, late, ch); l.Seq != 20 || l.Owed != int64(len(d.live)) || l.OwedFrom != d.live[0] || l.OwedTo != 20 || !l.Behind || l.Joined != 20 {
			t.Fatalf("joined: %+v", l)
		}
		served, err := whole.LiveManifests(t.Context(), ch.ID, ch.Key(), o.Hash, 1, 4096, 256, 1<<20)
		if err != nil || len(served) != len(d.live) {
			t.Fatalf("%d manifests are served, want %d: %v", len(served), len(d.live), err)
		}
		if none, err := whole.LiveManifests(t.Context(), ch.ID, ch.Key(), channel.Hash{1}, 1, 4096, 256, 1<<20); err != nil || len(none) != 0 {
			t.Errorf("under another snapshot %d are served, %v", len(none), err)
		}
		for n, e := range served {
			if n == len(served)/2 { // a stop
				if err := late.Close(); err != nil {
					t.Fatal(err)
				}
				late = open(t, path)
			}
			offer(t, late, e, feed.Accepted)
		}
		if l := logOf(t, late, ch); l.Owed != 0 {
			t.Errorf("owed: %+v", l)
		}
		dead := slices.IndexFunc(releases[i], func(e []byte) bool {
			return !slices.ContainsFunc(served, func(s []byte) bool { return string(s) == string(e) })
		})
		if o := offer(t, late, releases[i][dead], feed.Stale); !errors.Is(o.Err, feed.ErrDead) {
			t.Errorf("a dead manifest: %v", o.Err)
		}
		// What it has goes on to others, and ranges end where something is missing.
		again, err := late.LiveManifests(t.Context(), ch.ID, ch.Key(), o.Hash, 1, 4096, 256, 1<<20)
		if err != nil || !reflect.DeepEqual(again, served) {
			t.Errorf("%d manifests go on, %v", len(again), err)
		}
		range1, err := late.Manifests(t.Context(), ch.ID, ch.Key(), 1, 20, 256, 1<<20)
		if want := leading(d.live); err != nil || len(range1) != want {
			t.Errorf("of a range from 1 on %d are served, want %d: %v", len(range1), want, err)
		}
		if s, err := late.Snapshot(t.Context(), ch.ID, ch.Key()); err != nil || s.Payload != o.Hash || string(s.Anchor) != string(releases[i][19]) {
			t.Errorf("snapshot: %+v, %v", s.Snapshot, err)
		}
		pages, next, err := late.Pages(t.Context(), ch.ID, ch.Key(), o.Hash, 0, 0, 256, 1<<20)
		if err != nil || next != 1 || !reflect.DeepEqual(pages, d.pages) {
			t.Errorf("pages: %d, %d, %v", len(pages), next, err)
		}
	}
	view := func(c *Catalog) []Entry {
		out := entries(t, c, founder.ID, EntryFilter{Removed: true})
		for i := range out {
			out[i].Position = 0
		}
		return out
	}
	if got, want := view(late), view(whole); !reflect.DeepEqual(got, want) {
		t.Errorf("view of who joined late:\n%+v\nwant\n%+v", got, want)
	}
	// Both go on, also when the other log ends before its snapshot: then that one
	// begins anew where it was joined.
	third := hashOf(t, releases[1][2])
	cut := alice.Replace(func(r *channel.Root) {
		r.Publishers = slices.DeleteFunc(r.Publishers, func(p channel.Publisher) bool { return p.Key == bob.Key() })
		r.Revoked = []channel.Revoked{{Key: bob.Key(), Seq: 3, Hash: third}}
	})
	offer(t, whole, cut, feed.Accepted)
	offer(t, late, cut, feed.Accepted)
	if l := logOf(t, late, bob); l.Seq != 0 || l.Snapshot != 0 || l.Owed != 0 || l.Joined != 0 {
		t.Errorf("revoked: %+v", l)
	}
	if l := logOf(t, whole, bob); l.Seq != 3 || l.Snapshot != 0 {
		t.Errorf("revoked: %+v", l)
	}
	for _, e := range releases[1][:3] {
		offer(t, late, e, feed.Accepted)
	}
	if got, want := view(late), view(whole); !reflect.DeepEqual(got, want) {
		t.Errorf("view after a revocation of who joined late:\n%+v\nwant\n%+v", got, want)
	}
	if list, err := whole.Dead(t.Context(), founder.ID, 0, 0); err != nil || slices.ContainsFunc(list, func(r Release) bool { return r.Log == bob.Key() }) {
		t.Errorf("%d are dead, %v", len(list), err)
	}
}

// leading is how many of 1, 2, 3 ... the list begins with.
func leading(live []uint64) int {
	n := 0
	for n < len(live) && live[n] == uint64(n+1) {
		n++
	}
	return n
}

func hashOf(t testing.TB, envelope []byte) channel.Hash {
	t.Helper()
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return env.Hash()
}

// Who may drop what is told: the releases that do not count, in parts, and those
// that a later snapshot adds.
func TestDeadReleasesAreThoseThatTheSnapshotDoesNotList(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	seqs := func() (out []uint64) {
		for after := int64(0); ; {
			list, err := c.Dead(t.Context(), ch.ID, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				return out
			}
			for _, r := range list {
				out, after = append(out, r.Seq), r.Position
			}
		}
	}
	for i := range 7 {
		offer(t, c, ch.Files(fmt.Sprint("file ", i%3)), feed.Accepted)
	}
	if got := seqs(); got != nil {
		t.Errorf("before there is a snapshot %v are dead", got)
	}
	first := appended(t, c, ch)
	if got := seqs(); !slices.Equal(got, []uint64{1, 2, 3, 4}) || !slices.Equal(first.live, []uint64{5, 6, 7}) {
		t.Errorf("%v are dead, %v count", got, first.live)
	}
	offer(t, c, ch.Release(channel.Body{Removals: []channel.Removal{{Name: "file 1"}}}), feed.Accepted)
	offer(t, c, ch.Release(channel.Body{Title: "a word"}), feed.Accepted)
	offer(t, c, ch.Release(channel.Body{Title: "another word"}), feed.Accepted)
	if got := seqs(); len(got) != 4 {
		t.Errorf("before there is a newer snapshot %v are dead", got)
	}
	second := appended(t, c, ch)
	if got := seqs(); !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 9}) || !slices.Equal(second.live, []uint64{6, 7, 8, 10}) {
		t.Errorf("%v are dead, %v count", got, second.live)
	}
	// The same again changes nothing, and an older one neither.
	join(t, c, second, nil, feed.Duplicate)
	join(t, c, first, nil, feed.Stale)
	if got := seqs(); len(got) != 6 {
		t.Errorf("%v are dead", got)
	}
}

// A log that is not whole has no snapshot made of it, and one without its pages is
// not taken in.
func TestSnapshotNeedsAllThatBelongsToIt(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	whole, late := followed(t, ch), followed(t, ch)
	var all [][]byte
	for i := range 3 {
		all = append(all, ch.Files(fmt.Sprint("file ", i)))
		offer(t, whole, all[i], feed.Accepted)
	}
	d := draw(t, whole, ch)
	for name, try := range map[string]func() (feed.Outcome, error){
		"without pages":     func() (feed.Outcome, error) { return late.OfferSnapshot(t.Context(), d.envelope, all[2], nil) },
		"without the third": func() (feed.Outcome, error) { return late.OfferSnapshot(t.Context(), d.envelope, nil, d.pages) },
		"another manifest":  func() (feed.Outcome, error) { return late.OfferSnapshot(t.Context(), d.envelope, all[1], d.pages) },
	} {
		if o, err := try(); err != nil || o.Verdict != feed.Gap || !errors.Is(o.Err, feed.ErrPages) {
			t.Errorf("%s: %s, %v, %v", name, o.Verdict, o.Err, err)
		}
	}
	if o, err := late.OfferSnapshot(t.Context(), d.envelope, all[2], [][]byte{{0xa0}}); err != nil || o.Verdict != feed.Rejected {
		t.Errorf("another page: %s, %v, %v", o.Verdict, o.Err, err)
	}
	if o, err := late.OfferSnapshot(t.Context(), all[2], all[2], d.pages); err != nil || o.Verdict != feed.Rejected {
		t.Errorf("a manifest: %s, %v, %v", o.Verdict, o.Err, err)
	}
	if _, err := late.Snapshot(t.Context(), ch.ID, ch.Key()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a snapshot: %v", err)
	}
	join(t, late, d, all[2], feed.Accepted)
	if _, err := late.Live(t.Context(), ch.ID, ch.Key()); !errors.Is(err, ErrOwed) {
		t.Errorf("of a log with holes: %v", err)
	}
	if err := late.Unfollow(t.Context(), ch.ID); err != nil {
		t.Fatal(err)
	}
	if o, err := late.OfferSnapshot(t.Context(), d.envelope, all[2], d.pages); err != nil || o.Verdict != feed.Ignored || !errors.Is(o.Err, ErrNotFollowed) {
		t.Errorf("of a channel that is listed alone: %s, %v, %v", o.Verdict, o.Err, err)
	}
	other := channeltest.NewChannel(t, "stranger")
	stranger := drawOf(t, func() *channeltest.Channel { other.Files("x"); return other }(), []channel.Live{{Seq: 1, Hash: other.Hash}})
	if o, err := late.OfferSnapshot(t.Context(), stranger.envelope, nil, stranger.pages); err != nil || o.Verdict != feed.Ignored || !errors.Is(o.Err, ErrUnknown) {
		t.Errorf("of a channel that nobody expects: %s, %v, %v", o.Verdict, o.Err, err)
	}
}

// Pages that have not changed are taken from the snapshot before.
func TestPagesThatAreTheSameNeedNotComeAgain(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	whole, mirror := followed(t, ch), followed(t, ch)
	release := func(n int) {
		var batch [][]byte
		for range n {
			batch = append(batch, ch.Files(fmt.Sprint("file ", ch.Seq)))
		}
		for _, c := range []*Catalog{whole, mirror} {
			if _, err := c.OfferAll(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	release(channel.PageSpan + 10)
	first := appended(t, whole, ch)
	join(t, mirror, first, nil, feed.Accepted)
	release(10)
	second := appended(t, whole, ch)
	if string(first.pages[0]) != string(second.pages[0]) {
		t.Fatal("the first page has changed")
	}
	o, err := mirror.OfferSnapshot(t.Context(), second.envelope, nil, [][]byte{nil, second.pages[1]})
	if err != nil || o.Verdict != feed.Accepted {
		t.Fatalf("%s, %v, %v", o.Verdict, o.Err, err)
	}
	pages, _, err := mirror.Pages(t.Context(), ch.ID, ch.Key(), o.Hash, 0, 1, 256, 1<<20)
	if err != nil || !reflect.DeepEqual(pages, second.pages) {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	if one, next, err := mirror.Pages(t.Context(), ch.ID, ch.Key(), o.Hash, 0, 1, 256, 1); err != nil || len(one) != 1 || next != 1 {
		t.Errorf("of two pages %d fit, next is %d, %v", len(one), next, err)
	}
}
