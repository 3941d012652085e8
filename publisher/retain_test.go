package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

func (w *world) rule(id channel.ID, rules ...policy.Keep) {
	w.t.Helper()
	if err := w.catalog.SetRetention(w.t.Context(), id, policy.KeepsJSON(rules)); err != nil {
		w.t.Fatal(err)
	}
}

// view returns the live names of a channel, and the reasons of its tombstones.
func (w *world) view(id channel.ID) (live []string, gone map[string]string) {
	w.t.Helper()
	gone = map[string]string{}
	for e, err := range w.catalog.Entries(w.t.Context(), id, catalog.EntryFilter{Removed: true}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Removed {
			gone[e.Name] = e.Reason
		} else {
			live = append(live, e.Name)
		}
	}
	return live, gone
}

// sealed is one real file of a size, which any number of names can share.
func (w *world) sealed(size int) channel.FileEntry {
	w.t.Helper()
	return w.ingest(map[string][]byte{"f": pattern(size, byte(size))})[0]
}

func as(e channel.FileEntry, name string) channel.FileEntry {
	e.Name = name
	return e
}

func TestRetentionAtEachPublicationKeepsExactlyWhatTheRuleSays(t *testing.T) {
	w := newWorld(t, 0)
	files := []channel.FileEntry{w.sealed(1), w.sealed(40), w.sealed(700)}
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 11))
		made := w.create(fmt.Sprintf("t%d", seed))
		want := map[string]policy.Item{}
		var rules []policy.Keep
		for release := int64(1); release <= 14; release++ {
			if release%4 == 1 { // the rules change, too
				rules = []policy.Keep{
					{Path: "a/*", Count: rng.Int64N(4) + 1}, {Path: "b/*", Age: time.Duration(rng.IntN(6)+1) * time.Minute}, {Bytes: rng.Int64N(900) + 1},
				}[rng.IntN(3):]
				w.rule(made.Channel, rules...)
			}
			w.clock.move(time.Duration(rng.IntN(3)) * time.Minute)
			r := publisher.Release{Channel: made.Channel, Key: w.key, Title: "t"}
			put := map[string]channel.FileEntry{}
			for range rng.IntN(4) {
				name := fmt.Sprintf("%s/%d", []string{"a", "b", "c"}[rng.IntN(3)], rng.IntN(9))
				put[name] = as(files[rng.IntN(len(files))], name)
			}
			r.Entries = slices.Collect(maps.Values(put))
			done, err := w.Publish(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for name, e := range put {
				want[name] = policy.Item{Name: name, Size: e.Size, Issued: channel.TimeOf(w.clock.Now()), Position: release}
			}
			compiled, err := policy.Policy{Keep: rules}.Compile(nil)
			if err != nil {
				t.Fatal(err)
			}
			removed := map[string]string{}
			gone, _ := compiled.Retire(slices.Collect(maps.Values(want)), w.clock.Now())
			for _, g := range gone {
				removed[g.Name] = "retention: " + g.Why
				delete(want, g.Name)
			}
			live, tombstones := w.view(made.Channel)
			if !slices.Equal(live, slices.Sorted(maps.Keys(want))) {
				t.Fatalf("seed %d, release %d under %v: in the channel are %q, want %q", seed, release, rules, live, slices.Sorted(maps.Keys(want)))
			}
			for name, why := range removed {
				if tombstones[name] != why {
					t.Errorf("%s was removed for %q, want %q", name, tombstones[name], why)
				}
			}
			if len(done.Retired.Removed) != len(removed) {
				t.Errorf("said to be removed are %v, want %v", done.Retired.Removed, removed)
			}
		}
	}
}

func TestAReleaseThatIsBeyondItsOwnRuleStandsAndIsWarnedOf(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	w.rule(made.Channel, policy.Keep{Count: 2})
	f := w.sealed(10)
	done, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "1"), as(f, "2"), as(f, "3")}})
	if err != nil || len(done.Retired.Spared) != 1 || done.Retired.Spared[0].Name != "3" || len(done.Retired.Removed) != 0 {
		t.Fatalf("published %+v, %v", done.Retired, err)
	}
	if more, err := w.Retain(t.Context(), made.Channel, w.key); err != nil || len(more) != 0 {
		t.Errorf("what was just published is removed: %+v, %v", more, err)
	}
	if live, _ := w.view(made.Channel); len(live) != 3 {
		t.Errorf("in the channel are %q", live)
	}
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "4")}}); err != nil {
		t.Fatal(err)
	}
	if live, _ := w.view(made.Channel); !slices.Equal(live, []string{"1", "4"}) {
		t.Errorf("after the next one: %q", live)
	}
}

func TestAgeLetsGoWithoutAPublication(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	w.rule(made.Channel, policy.Keep{Age: time.Hour})
	for _, name := range []string{"old", "new"} {
		if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: w.ingest(map[string][]byte{name: []byte(name)})}); err != nil {
			t.Fatal(err)
		}
		w.clock.move(40 * time.Minute)
	}
	done, err := w.Retain(t.Context(), made.Channel, w.key)
	if err != nil || len(done) != 1 {
		t.Fatalf("published %+v, %v", done, err)
	}
	live, gone := w.view(made.Channel)
	if !slices.Equal(live, []string{"new"}) || gone["old"] != "retention: age 1h" {
		t.Errorf("in the channel %q, tombstones %q", live, gone)
	}
	if again, err := w.Retain(t.Context(), made.Channel, w.key); err != nil || len(again) != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

func TestMoreThanOneReleaseCanRemoveGoesInSeveral(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	f := w.sealed(10)
	var all []channel.FileEntry
	for i := range 600 {
		all = append(all, as(f, fmt.Sprintf("%04d %s", i, strings.Repeat("long ", 40))[:200]+"x"))
	}
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: all}); err != nil {
		t.Fatal(err)
	}
	w.rule(made.Channel, policy.Keep{Count: 1})
	done, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "last")}})
	if err != nil || len(done.Retired.Removed) != 600 || len(done.Retired.Left) != 0 {
		t.Fatalf("removed %d, left %d, %v", len(done.Retired.Removed), len(done.Retired.Left), err)
	}
	if live, _ := w.view(made.Channel); !slices.Equal(live, []string{"last"}) {
		t.Errorf("in the channel are %d files", len(live))
	}
	releases, err := w.catalog.Releases(t.Context(), made.Channel, 0, 0)
	if err != nil || len(releases) < 4 {
		t.Fatalf("%d releases, %v", len(releases), err)
	}
	for _, r := range releases[1:] {
		if r.Manifest.Body == nil {
			t.Errorf("release %d does not hold its tombstones itself", r.Seq)
		}
	}
}

func TestRetentionLeavesAloneWhatTheKeyMayNotName(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	f := w.sealed(10)
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "mine/1"), as(f, "theirs/1")}}); err != nil {
		t.Fatal(err)
	}
	got, err := w.Beyond(t.Context(), made.Channel, channel.PublicKey{1}, []policy.Keep{{Count: 1}})
	if err != nil || len(got.Removed)+len(got.Spared) != 0 {
		t.Errorf("for a key without rights: %+v, %v", got, err)
	}
}

func TestRetractTakesBackNamesPatternsAndReleases(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	f := w.sealed(10)
	publish := func(names ...string) {
		t.Helper()
		r := publisher.Release{Channel: made.Channel, Key: w.key}
		for _, n := range names {
			r.Entries = append(r.Entries, as(f, n))
		}
		if _, err := w.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	publish("a/1", "a/2", "b", "[x]")
	publish("a/2", "c")
	publish("d")
	try := func(r publisher.Retraction) (names []string, err error) {
		r.Channel, r.Key = made.Channel, w.key
		found, err := w.Retracts(t.Context(), r)
		for _, e := range found {
			names = append(names, e.Name)
		}
		return names, err
	}
	for what, c := range map[string]struct {
		r    publisher.Retraction
		want []string
		err  error
	}{
		"a name":                            {r: publisher.Retraction{Names: []string{"b"}}, want: []string{"b"}},
		"a glob":                            {r: publisher.Retraction{Names: []string{"a/*"}}, want: []string{"a/1", "a/2"}},
		"both, and twice":                   {r: publisher.Retraction{Names: []string{"a/1", "a/*", "a/1"}}, want: []string{"a/1", "a/2"}},
		"a name that looks like a glob":     {r: publisher.Retraction{Names: []string{"[x]"}}, want: []string{"[x]"}},
		"a release":                         {r: publisher.Retraction{Release: 1, Log: w.key.Public()}, want: []string{"[x]", "a/1", "b"}},
		"a name of a release":               {r: publisher.Retraction{Release: 2, Log: w.key.Public(), Names: []string{"**"}}, want: []string{"a/2", "c"}},
		"a name of another release":         {r: publisher.Retraction{Release: 2, Log: w.key.Public(), Names: []string{"b"}}, err: publisher.ErrNoEntry},
		"a name that is not there":          {r: publisher.Retraction{Names: []string{"b", "nope"}}, err: publisher.ErrNoEntry},
		"a glob that matches nothing":       {r: publisher.Retraction{Names: []string{"x/*"}}, err: publisher.ErrNoEntry},
		"no glob":                           {r: publisher.Retraction{Names: []string{"[x"}}, err: channel.ErrName},
		"a release that is not there":       {r: publisher.Retraction{Release: 9, Log: w.key.Public()}, err: publisher.ErrNoRelease},
		"a release of a log of nobody":      {r: publisher.Retraction{Release: 1, Log: channel.PublicKey{1}}, err: publisher.ErrNoRelease},
		"a reason of two lines":             {r: publisher.Retraction{Names: []string{"b"}, Reason: "a\nb"}, err: channel.ErrMalformed},
		"a reason longer than may be given": {r: publisher.Retraction{Names: []string{"b"}, Reason: strings.Repeat("x", 1025)}, err: channel.ErrLimit},
	} {
		if got, err := try(c.r); !slices.Equal(got, c.want) || !errors.Is(err, c.err) || (err != nil) != (c.err != nil) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	_, done, err := w.Retract(t.Context(), publisher.Retraction{Channel: made.Channel, Key: w.key, Names: []string{"a/*", "d"}, Reason: "wrong cut"})
	if err != nil || len(done) != 1 || done[0].Seq != 4 {
		t.Fatalf("retracted: %+v, %v", done, err)
	}
	live, gone := w.view(made.Channel)
	if !slices.Equal(live, []string{"[x]", "b", "c"}) || !maps.Equal(gone, map[string]string{"a/1": "wrong cut", "a/2": "wrong cut", "d": "wrong cut"}) {
		t.Errorf("in the channel %q, tombstones %q", live, gone)
	}
	if _, err := try(publisher.Retraction{Names: []string{"d"}}); !errors.Is(err, publisher.ErrNoEntry) || !strings.Contains(err.Error(), "wrong cut") {
		t.Errorf("a second time: %v", err)
	}
}

// What a crash in the middle of a publication leaves is a manifest with all of its
// tombstones, or none of it: a store that fails at the last step stands for it.
func TestAPublicationThatFailsRemovesNothing(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("t")
	f := w.sealed(10)
	w.rule(made.Channel, policy.Keep{Count: 1})
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "1")}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Publish(ctx, publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(f, "2")}}); err == nil {
		t.Fatal("published with a context that had ended")
	}
	missing := f
	missing.Root.ID = blobnet.ID{9}
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: []channel.FileEntry{as(missing, "2")}}); !errors.Is(err, publisher.ErrMissing) {
		t.Fatalf("published without blobs: %v", err)
	}
	live, gone := w.view(made.Channel)
	if !slices.Equal(live, []string{"1"}) || len(gone) != 0 {
		t.Errorf("in the channel %q, tombstones %q", live, gone)
	}
}
