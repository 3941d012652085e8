package publisher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

func TestAChannelIsFoundedWithARootKeyOfItsOwn(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("software/linux", "apps")
	key, err := keyfile.Load(c.RootKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	info, err := w.catalog.Channel(t.Context(), c.Channel)
	if err != nil {
		t.Fatal(err)
	}
	if info.Root.Version != 1 || info.Reason != catalog.Owned || key.Public() != info.Root.Root.Keys[0] || key.Public() == w.key.Public() {
		t.Errorf("%+v", info)
	}
	if !strings.HasSuffix(c.RootKeyFile, "root-"+c.Channel.Short()+".pem") || !slices.Equal(c.Topics, []string{"apps", "software/linux"}) {
		t.Errorf("%+v", c)
	}
	own, err := w.catalog.OwnByTopic(t.Context(), "software/linux", w.key.Public())
	if err != nil || own.KeyFile != w.keyFile || own.RootKeyFile != c.RootKeyFile {
		t.Errorf("%+v, %v", own, err)
	}
	spec := publisher.CreateSpec{Topics: []string{"software/linux"}, Key: w.key, KeyDir: t.TempDir()}
	if _, err := w.Create(t.Context(), spec); !errors.Is(err, publisher.ErrExists) || !strings.Contains(err.Error(), c.Channel.String()) {
		t.Errorf("the same topic again: %v", err)
	}
	bad := spec
	bad.Topics = []string{"Not Normal"}
	if _, err := w.Create(t.Context(), bad); !errors.Is(err, channel.ErrName) {
		t.Errorf("a bad topic: %v", err)
	}
	if left, _ := os.ReadDir(spec.KeyDir); len(left) != 0 {
		t.Errorf("failures left %v", left)
	}
}

func TestTwoWhoFoundATopicAtOnceGetOneChannel(t *testing.T) {
	w := newWorld(t, 0)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			_, errs[i] = w.Create(t.Context(), publisher.CreateSpec{Topics: []string{"t"}, Key: w.key, KeyFile: w.keyFile, KeyDir: w.dir})
		})
	}
	group.Wait()
	if n := len(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, publisher.ErrExists) })); n != 1 {
		t.Errorf("%d were founded: %v", n, errs)
	}
}

func TestAReleaseIsStoredSyncedAndRecordedBeforeAnybodyIsTold(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	entries := w.ingest(map[string][]byte{"a": pattern(3*codec.MinChunkSize, 1), "d/b": []byte("b")})
	w.order = nil
	var atCast catalog.Info
	w.onCast = func(id channel.ID) (err error) {
		atCast, err = w.catalog.Channel(t.Context(), id)
		return errors.Join(err, errors.New("nobody is there"))
	}
	p, err := w.Publish(t.Context(), publisher.Release{
		Channel: c.Channel, Key: w.key, Title: "one", Metadata: map[string]string{"k": "v"}, Entries: entries, Mirrors: []string{"https://m.example/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.noted(), " "); got != "pin put pin sync append broadcast" {
		t.Errorf("order: %s", got)
	}
	if p.Seq != 1 || p.Bytes != 3*codec.MinChunkSize+1 || atCast.Position == 0 || !atCast.Fresh {
		t.Errorf("%+v; when it was broadcast: %+v", p, atCast)
	}
	if p.Unannounced == nil || !strings.Contains(p.Unannounced.Error(), "nobody is there") {
		t.Errorf("the failure to broadcast is not told: %v", p.Unannounced)
	}
	releases, err := w.catalog.Releases(t.Context(), c.Channel, 0, 0)
	if err != nil || len(releases) != 1 || releases[0].Hash != p.Hash {
		t.Fatalf("%v, %v", releases, err)
	}
	m := releases[0].Manifest
	listed := map[blobnet.ID]bool{}
	for id, err := range codec.Inventory(t.Context(), w.store, *m.Inventory) {
		if err != nil {
			t.Fatal(err)
		}
		listed[id] = true
	}
	for _, e := range entries {
		for id, err := range codec.Blobs(t.Context(), w.store, e.File()) {
			if err != nil || !listed[id] {
				t.Errorf("the inventory has not %s of %s: %v", id.Short(), e.Name, err)
			}
		}
	}
	if s := w.stats(); s.Pinned != s.BlobCount || int(s.Pinned) != p.Blobs {
		t.Errorf("%d of %d blobs pinned, %d told", s.Pinned, s.BlobCount, p.Blobs)
	}
}

func TestALargeBodyLivesInASealedBlob(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	files := map[string][]byte{}
	for i := range 300 {
		files[fmt.Sprintf("folder/with/a/long/name/%04d", i)] = []byte{byte(i)}
	}
	p, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Entries: w.ingest(files)})
	if err != nil {
		t.Fatal(err)
	}
	releases, err := w.catalog.Releases(t.Context(), c.Channel, 0, 0)
	if err != nil || len(releases) != 1 {
		t.Fatal(err)
	}
	r := releases[0]
	if r.Manifest.BodyRef == nil || r.Manifest.Body != nil || r.Body == nil || len(r.Body.Entries) != 300 {
		t.Fatalf("release %+v", r.Manifest)
	}
	listed := false
	for id, err := range codec.Inventory(t.Context(), w.store, *r.Manifest.Inventory) {
		listed = listed || err == nil && id == r.Manifest.BodyRef.ID
	}
	if !listed || p.Blobs != 302 {
		t.Errorf("body in the inventory: %v; %d blobs", listed, p.Blobs)
	}
}

// TestARefusedPublicationChangesNothing tries all that may be wrong with one.
func TestARefusedPublicationChangesNothing(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	entries := w.ingest(map[string][]byte{"a": []byte("a"), "d/b": []byte("b"), "d/c": pattern(2*codec.MinChunkSize, 1)})
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Entries: entries}); err != nil {
		t.Fatal(err)
	}
	before := w.stats()
	foreign, err := channel.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) channel.FileEntry {
		e := entries[0]
		e.Name = name
		return e
	}
	gone := named("gone")
	gone.Root.ID[0] ^= 1
	flipped := entries[2] // the index of d/c opens with another key only
	flipped.Name, flipped.Root.Key[0] = "flipped", flipped.Root.Key[0]^1
	many := make([]channel.FileEntry, channel.MaxEntries+1)
	for i := range many {
		many[i] = named(fmt.Sprintf("m%05d", i))
	}
	for name, test := range map[string]struct {
		r     publisher.Release
		want  error
		names string
	}{
		"nothing in it":            {publisher.Release{}, channel.ErrMalformed, "empty"},
		"a blob is missing":        {publisher.Release{Entries: []channel.FileEntry{gone}}, publisher.ErrMissing, `"gone"`},
		"a wrong key in an entry":  {publisher.Release{Entries: []channel.FileEntry{flipped}}, codec.ErrSealed, `"flipped"`},
		"removes what is not":      {publisher.Release{Remove: []string{"nope"}}, publisher.ErrNoEntry, `"nope"`},
		"removes twice":            {publisher.Release{Remove: []string{"a", "a"}}, channel.ErrName, `"a"`},
		"one name twice":           {publisher.Release{Entries: []channel.FileEntry{named("x"), named("x")}}, channel.ErrName, `"x"`},
		"a file as a folder":       {publisher.Release{Entries: []channel.FileEntry{named("a/b/c")}}, publisher.ErrConflict, `"a"`},
		"a folder as a file":       {publisher.Release{Entries: []channel.FileEntry{named("d")}}, publisher.ErrConflict, `"d"`},
		"a folder that stays":      {publisher.Release{Entries: []channel.FileEntry{named("d")}, Remove: []string{"d/b"}}, publisher.ErrConflict, `"d/c"`},
		"a hostile name":           {publisher.Release{Entries: []channel.FileEntry{named("../x")}}, channel.ErrName, `..`},
		"too many entries":         {publisher.Release{Entries: many}, channel.ErrLimit, "4096"},
		"a foreign key":            {publisher.Release{Title: "x", Key: foreign}, channel.ErrNotAuthorized, foreign.Public().Short()},
		"an unknown channel":       {publisher.Release{Title: "x", Channel: channel.ID{1}}, fs.ErrNotExist, ""},
		"a mirror that is no URL":  {publisher.Release{Title: "x", Mirrors: []string{"nonsense"}}, channel.ErrMalformed, "nonsense"},
		"a title of many lines":    {publisher.Release{Title: "x\ny"}, channel.ErrMalformed, "title"},
		"a release without a blob": {publisher.Release{Title: "fine"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.r
			if r.Channel.IsZero() {
				r.Channel = c.Channel
			}
			if r.Key.IsZero() {
				r.Key = w.key
			}
			w.order = nil
			_, err := w.Publish(t.Context(), r)
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.names) {
				t.Errorf("%v, want %v naming %s", err, test.want, test.names)
			}
			if test.want != nil && (slices.Contains(w.noted(), "append") || slices.Contains(w.noted(), "broadcast")) {
				t.Errorf("it went as far as %v", w.noted())
			}
			if s := w.stats(); s.Pinned != before.Pinned {
				t.Errorf("%d blobs pinned, before %d", s.Pinned, before.Pinned)
			}
		})
	}
	both := publisher.Release{Channel: c.Channel, Key: w.key, Remove: []string{"d/b", "d/c", "a"}, Entries: []channel.FileEntry{named("d"), named("a/b")}}
	if _, err := w.Publish(t.Context(), both); err != nil {
		t.Errorf("a folder that becomes a file in one release: %v", err)
	}
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Remove: []string{"d/b"}}); !errors.Is(err, publisher.ErrNoEntry) {
		t.Errorf("removing what was removed: %v", err)
	}
}

func TestReleasesToOneLogTakeTurnsAndNeverFork(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	const n = 8
	var group sync.WaitGroup
	seqs := make([]uint64, n)
	for i := range n {
		entries := w.ingest(map[string][]byte{fmt.Sprint(i): {byte(i)}})
		group.Go(func() {
			p, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Entries: entries})
			if err != nil {
				t.Error(err)
			}
			seqs[i] = p.Seq
			if err := w.RenewHeads(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	slices.Sort(seqs)
	if !slices.Equal(seqs, []uint64{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("numbers %v", seqs)
	}
	info, err := w.catalog.Channel(t.Context(), c.Channel)
	if err != nil || info.Forked || info.Entries != n || !info.Fresh {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestAClockThatIsPutBackDoesNotBackdateARelease(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	for i := range 3 {
		if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Title: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		w.clock.move(-2 * time.Minute)
	}
	releases, err := w.catalog.Releases(t.Context(), c.Channel, 0, 0)
	if err != nil || len(releases) != 3 || releases[2].Manifest.Issued != releases[0].Manifest.Issued {
		t.Errorf("%v, %v", releases, err)
	}
}

// Of the words of two logs on a name in one second that of the greater key counts:
// who publishes later, from what it knows, means to be heard all the same.
func TestOfTwoPublishersInOneSecondTheLaterCounts(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	other, err := channel.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w.replace(c, publisher.RootChange{Grant: []publisher.Grant{{Publisher: channel.Publisher{Key: other.Public(), Role: channel.RolePublish}}}})
	keys := []channel.PrivateKey{w.key, other}
	for i := range 6 { // of two, one is the greater
		entries := w.ingest(map[string][]byte{"name": []byte(fmt.Sprint(i))})
		for k, r := range []publisher.Release{{Entries: entries}, {Remove: []string{"name"}}} {
			r.Channel, r.Key = c.Channel, keys[(i+k)%2]
			done, err := w.Publish(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			e, err := w.catalog.Entry(t.Context(), c.Channel, "name")
			if err != nil || e.Log != r.Key.Public() || e.Seq != done.Seq || e.Removed != (k == 1) {
				t.Fatalf("turn %d.%d: the view has %+v, %v", i, k, e, err)
			}
		}
	}
}

func TestNothingIsPublishedUnderAnExpiredRoot(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	w.clock.move(11 * 365 * 24 * time.Hour)
	_, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Title: "late"})
	if !errors.Is(err, channel.ErrExpired) {
		t.Error(err)
	}
}

func TestHeadsAreRenewedAfterAQuarterOfTheirLife(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	head := func() *channel.Head {
		t.Helper()
		if err := w.RenewHeads(t.Context()); err != nil {
			t.Fatal(err)
		}
		info, err := w.catalog.Channel(t.Context(), c.Channel)
		if err != nil {
			t.Fatal(err)
		}
		if len(info.Logs) == 0 {
			return nil
		}
		return info.Logs[0].Head
	}
	if h := head(); h != nil {
		t.Errorf("a head without a release: %+v", h)
	}
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Title: "x", Mirrors: []string{"https://m.example/"}}); err != nil {
		t.Fatal(err)
	}
	first := head()
	life := first.Expires.Time().Sub(first.Issued.Time())
	if life != channel.Media.HeadLife() {
		t.Errorf("a head lives %v", life)
	}
	w.order = nil
	w.clock.move(life / 4)
	if h := head(); h.Issued != first.Issued || len(w.noted()) != 0 {
		t.Errorf("renewed at a quarter: %v", w.noted())
	}
	w.clock.move(time.Second)
	h := head()
	if h.Issued <= first.Issued || h.Seq != first.Seq || h.Hash != first.Hash || !slices.Equal(h.Mirrors, first.Mirrors) {
		t.Errorf("%+v after %+v", h, first)
	}
	if got := strings.Join(w.noted(), " "); got != "append broadcast" {
		t.Errorf("order: %s", got)
	}
	w.clock.move(life)
	if err := os.Remove(w.keyFile); err != nil {
		t.Fatal(err)
	}
	if err := w.RenewHeads(t.Context()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.Channel.String()) {
		t.Errorf("without the key: %v", err)
	}
	other, err := channel.GenerateKey()
	if err == nil {
		err = keyfile.Write(w.keyFile, other)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RenewHeads(t.Context()); !errors.Is(err, channel.ErrNotAuthorized) {
		t.Errorf("with another key: %v", err)
	}
}
