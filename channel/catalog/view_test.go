package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func entries(t testing.TB, c *Catalog, id channel.ID, f EntryFilter) []Entry {
	t.Helper()
	var out []Entry
	for e, err := range c.Entries(t.Context(), id, f) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func names(list []Entry) []string {
	out := []string{}
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out
}

// twoLogs signs a channel in which alice and bob put and remove the same
// names, often in the same second.
func twoLogs(t testing.TB) (alice, bob *channeltest.Channel, releases [2][][]byte) {
	alice = channeltest.NewChannel(t, "alice")
	alice.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("bob"), Role: channel.RolePublish})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	})
	bob = alice.Branch()
	bob.Name = "bob"
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		ch := []*channeltest.Channel{alice, bob}[i%2]
		var body channel.Body
		for n := range 6 {
			name := fmt.Sprintf("file %d", n)
			switch rng.IntN(3) {
			case 0:
				body.Entries = append(body.Entries, channeltest.Entry(name, uint64(1000+i)))
			case 1:
				body.Removals = append(body.Removals, channel.Removal{Name: name, Reason: fmt.Sprint("release ", i)})
			}
		}
		body.Title = fmt.Sprint("release ", i)
		if rng.IntN(2) == 0 {
			ch.Now = ch.Now.Add(time.Second)
		}
		releases[i%2] = append(releases[i%2], ch.Release(body))
	}
	return alice, bob, releases
}

// Two publishers, and every order in which their releases can become known:
// all nodes end with one view, counters included.
func TestViewIsTheSameWhateverTheOrder(t *testing.T) {
	alice, _, releases := twoLogs(t)
	founder := channeltest.NewChannel(t, "alice")
	var want []Entry
	var wantInfo Info
	for seed := range uint64(6) {
		c := followed(t, founder)
		offer(t, c, alice.Envelope, feed.Accepted)
		rng := rand.New(rand.NewPCG(seed, 3))
		next := [2]int{}
		for next[0]+next[1] < 40 {
			log := rng.IntN(2)
			if next[log] == 20 {
				log = 1 - log
			}
			offer(t, c, releases[log][next[log]], feed.Accepted)
			next[log]++
		}
		got := entries(t, c, founder.ID, EntryFilter{Removed: true})
		for i := range got {
			got[i].Position = 0 // is local
		}
		gotInfo := info(t, c, founder.ID)
		live := entries(t, c, founder.ID, EntryFilter{})
		var size int64
		for _, e := range live {
			size += int64(e.Size)
		}
		if gotInfo.Entries != int64(len(live)) || gotInfo.Bytes != size {
			t.Errorf("seed %d: counted %d entries of %d bytes, there are %d of %d", seed, gotInfo.Entries, gotInfo.Bytes, len(live), size)
		}
		if want == nil {
			want, wantInfo = got, gotInfo
			continue
		}
		if !reflect.DeepEqual(got, want) || gotInfo.Entries != wantInfo.Entries {
			t.Errorf("seed %d: another view:\n%+v\nwant\n%+v", seed, got, want)
		}
		// What is worked out again from the releases is the same, too.
		err := c.update(t.Context(), "rebuilding", func(t *tx) error {
			k, err := t.known(founder.ID)
			if err != nil {
				return err
			}
			return t.rebuild(k.no)
		})
		if err != nil {
			t.Fatal(err)
		}
		again := entries(t, c, founder.ID, EntryFilter{Removed: true})
		for i := range again {
			again[i].Position = 0
		}
		if !reflect.DeepEqual(again, want) || info(t, c, founder.ID).Bytes != gotInfo.Bytes {
			t.Errorf("seed %d: the rebuilt view differs", seed)
		}
	}
}

func TestRemovalLeavesATombstone(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	offer(t, c, ch.Files("a", "b"), feed.Accepted)
	offer(t, c, ch.Release(channel.Body{Removals: []channel.Removal{{Name: "a", Reason: "wrong take"}, {Name: "never was"}}}), feed.Accepted)
	if got := names(entries(t, c, ch.ID, EntryFilter{})); !slices.Equal(got, []string{"b"}) {
		t.Errorf("view: %q", got)
	}
	e, err := c.Entry(t.Context(), ch.ID, "a")
	if err != nil || !e.Removed || e.Reason != "wrong take" || e.Seq != 2 || e.Size != 0 {
		t.Errorf("tombstone: %+v, %v", e, err)
	}
	if _, err := c.Entry(t.Context(), ch.ID, "c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that never was: %v", err)
	}
	offer(t, c, ch.Files("a"), feed.Accepted)
	e, err = c.Entry(t.Context(), ch.ID, "a")
	if err != nil || e.Removed || !reflect.DeepEqual(e.FileEntry, channeltest.Entry("a", 1000)) {
		t.Errorf("put again: %+v, %v", e, err)
	}
}

func TestEntriesArePagedByNameAndPrefix(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	var all, music []string
	for i := range entryPage + 100 {
		all = append(all, fmt.Sprintf("music/%04d", i))
	}
	music = all
	all = append([]string{"artwork", "music.txt"}, append(all, "zebra")...)
	slices.Sort(all)
	for some := range slices.Chunk(all, 50) {
		offer(t, c, ch.Files(some...), feed.Accepted)
	}
	if got := names(entries(t, c, ch.ID, EntryFilter{})); !slices.Equal(got, all) {
		t.Errorf("got %d names, want %d", len(got), len(all))
	}
	if got := names(entries(t, c, ch.ID, EntryFilter{Prefix: "music/"})); !slices.Equal(got, music) {
		t.Errorf("got %d names under music/, want %d", len(got), len(music))
	}
	if got := names(entries(t, c, ch.ID, EntryFilter{Prefix: "music/", After: music[len(music)-3]})); !slices.Equal(got, music[len(music)-2:]) {
		t.Errorf("after: %q", got)
	}
	if got := names(entries(t, c, ch.ID, EntryFilter{After: "zebra"})); len(got) != 0 {
		t.Errorf("after the last: %q", got)
	}
	if got := names(entries(t, c, ch.ID, EntryFilter{After: "artwork", Limit: entryPage + 1})); !slices.Equal(got, all[1:entryPage+2]) {
		t.Errorf("limited: %d names, from %s", len(got), got[0])
	}
	for _, err := range c.Entries(t.Context(), channel.ID{1}, EntryFilter{}) {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("entries of an unknown channel: %v", err)
		}
	}
}

func TestBodyInABlobWaitsForPutBody(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	body := channel.Body{Title: "Large", Entries: []channel.FileEntry{channeltest.Entry("a", 1), channeltest.Entry("b", 2)}}
	offer(t, c, ch.ReleaseByRef(channeltest.Ref("body 1", 100_000)), feed.Accepted)
	first := ch.Hash
	offer(t, c, ch.Files("b"), feed.Accepted)
	rel, err := c.Releases(t.Context(), ch.ID, 0, 0)
	if err != nil || len(rel) != 2 || rel[0].Body != nil || rel[1].Body == nil {
		t.Fatalf("releases: %+v, %v", rel, err)
	}
	missing, err := c.MissingBodies(t.Context(), ch.ID, 0)
	if err != nil || len(missing) != 1 || missing[0].Hash != first || info(t, c, ch.ID).MissingBodies != 1 {
		t.Fatalf("missing: %+v, %v", missing, err)
	}
	var told []feed.Kind
	c.Watch(func(_ channel.ID, kind feed.Kind) { told = append(told, kind) })
	for range 2 {
		if err := c.PutBody(t.Context(), ch.ID, first, body); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(told, []feed.Kind{feed.KindBody}) {
		t.Errorf("told %v", told)
	}
	rel, err = c.Releases(t.Context(), ch.ID, 0, 1)
	if err != nil || !reflect.DeepEqual(rel[0].Body, &body) {
		t.Errorf("body: %+v, %v", rel[0].Body, err)
	}
	// The later release keeps its word on b, though its body was known first.
	if b, err := c.Entry(t.Context(), ch.ID, "b"); err != nil || b.Seq != 2 || b.Size != 1000 {
		t.Errorf("b: %+v, %v", b, err)
	}
	if a, err := c.Entry(t.Context(), ch.ID, "a"); err != nil || a.Seq != 1 {
		t.Errorf("a: %+v, %v", a, err)
	}
	if err := c.PutBody(t.Context(), ch.ID, channel.Hash{1}, body); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("body of an unknown manifest: %v", err)
	}
}

func TestBodyOutsideOfItsKeysScopesIsRefusedForGood(t *testing.T) {
	founder := channeltest.NewChannel(t, "alice")
	ch := channeltest.NewChannel(t, "alice")
	root2 := ch.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("bob"), Role: channel.RolePublish, Scopes: []string{"music"}})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	})
	c := followed(t, founder)
	offer(t, c, root2, feed.Accepted)
	ch.Name = "bob"
	offer(t, c, ch.ReleaseByRef(channeltest.Ref("body", 100_000)), feed.Accepted)
	evil := ch.Hash
	offer(t, c, ch.ReleaseByRef(channeltest.Ref("body 2", 100_000)), feed.Accepted)
	garbage := ch.Hash
	offer(t, c, ch.Files("music/song"), feed.Accepted)
	err := c.PutBody(t.Context(), ch.ID, evil, channel.Body{Entries: []channel.FileEntry{channeltest.Entry("video/film", 1)}})
	if !errors.Is(err, ErrRefused) || !errors.Is(err, channel.ErrNotAuthorized) {
		t.Errorf("body outside of the scopes: %v", err)
	}
	if err := c.PutBody(t.Context(), ch.ID, evil, channel.Body{Title: "Another"}); !errors.Is(err, ErrRefused) {
		t.Errorf("a refused body, another time: %v", err)
	}
	if err := c.RefuseBody(t.Context(), ch.ID, garbage, "is no body"); err != nil {
		t.Error(err)
	}
	rel, err := c.Releases(t.Context(), ch.ID, 0, 0)
	if err != nil || len(rel) != 1 || rel[0].Seq != 3 {
		t.Errorf("releases: %+v, %v", rel, err)
	}
	if i := info(t, c, ch.ID); i.MissingBodies != 0 || i.Entries != 1 || i.Releases != 3 {
		t.Errorf("info: %+v", i)
	}
	// What was refused here is still served to others, who judge for themselves.
	got, err := c.Manifests(t.Context(), ch.ID, ch.Key(), 1, 9, 9, 1<<20)
	if err != nil || len(got) != 3 {
		t.Errorf("manifests: %d, %v", len(got), err)
	}
}

func TestAppendReleaseStoresTheBodyWithTheManifest(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := fresh(t)
	if err := c.Append(t.Context(), ch.Envelope); err != nil {
		t.Fatal(err)
	}
	body := channel.Body{Entries: []channel.FileEntry{channeltest.Entry("a", 1)}}
	if err := c.AppendRelease(t.Context(), Addition{Body: &body}, ch.ReleaseByRef(channeltest.Ref("body", 100_000)), ch.Head(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if i := info(t, c, ch.ID); i.MissingBodies != 0 || i.Entries != 1 || !i.Fresh {
		t.Errorf("info: %+v", i)
	}
}
