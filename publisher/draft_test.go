package publisher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

func TestADraftBecomesARelease(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	given := w.ingest(map[string][]byte{"given.txt": []byte("given"), "old": []byte("old")})
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Entries: given}); err != nil {
		t.Fatal(err)
	}
	w.file("in/one.txt", []byte("one"))
	w.file("in/folder/x", []byte("x"))
	w.file("in/folder/sub/y", []byte("y"))
	pinned := w.stats().Pinned
	r, err := w.FromDraft(t.Context(), publisher.DraftSpec{Dir: filepath.Join(w.dir, "in"), Channel: c.Channel, Key: w.key, Draft: channel.Draft{
		Title: "two", Description: "d", Metadata: map[string]string{"k": "v"}, Remove: []string{"old"},
		Entries: []channel.DraftEntry{
			{Path: "one.txt", Name: "renamed.txt", Attrs: map[string]string{"a": "b"}},
			{Path: filepath.Join(w.dir, "in", "folder"), Name: "below"},
			{Entry: &given[0]},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range r.Entries {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "below/sub/y below/x given.txt renamed.txt" || r.Entries[3].Attrs["a"] != "b" {
		t.Errorf("%s", got)
	}
	if got := w.stats().Pinned; got != pinned {
		t.Errorf("%d blobs pinned, before %d", got, pinned)
	}
	if p, err := w.Publish(t.Context(), r); err != nil || p.Seq != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if e, err := w.catalog.Entry(t.Context(), c.Channel, "old"); err != nil || !e.Removed {
		t.Errorf("old: %+v, %v", e, err)
	}
}

func TestABadDraftIsRefusedBeforeAnythingIsSealed(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	given := w.ingest(map[string][]byte{"f": []byte("f")})[0]
	foreign := given
	foreign.Root.ID[3] ^= 1
	if _, err := w.Publish(t.Context(), publisher.Release{Channel: c.Channel, Key: w.key, Entries: w.ingest(map[string][]byte{"file": []byte("1"), "folder/x": []byte("2")})}); err != nil {
		t.Fatal(err)
	}
	stranger, err := channel.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w.file("in/a", []byte("a"))
	w.file("sub/f/a", []byte("a"))
	for i := range channel.MaxEntries + 1 {
		w.file(fmt.Sprintf("many/%d", i), nil)
	}
	before := w.stats().BlobCount
	local := func(path, name string) channel.DraftEntry { return channel.DraftEntry{Path: path, Name: name} }
	one := []channel.DraftEntry{local("a", "")}
	times := func(n int, name string) (entries []channel.DraftEntry) {
		for i := range n {
			entries = append(entries, local("a", fmt.Sprintf("%04d%s", i, name)))
		}
		return entries
	}
	pairs := map[string]string{}
	for i := range channel.MaxPairs + 1 {
		pairs[fmt.Sprint(i)] = ""
	}
	remove := make([]string, channel.MaxRemovals+1)
	for i := range remove {
		remove[i] = fmt.Sprint(i)
	}
	type draft = channel.Draft
	for name, test := range map[string]struct {
		draft draft
		key   channel.PrivateKey
		new   bool
		want  error
		names []string
	}{
		"empty":                    {draft: draft{}, want: channel.ErrMalformed},
		"missing file":             {draft: draft{Entries: []channel.DraftEntry{local("a", "x"), local("nope", "y")}}, want: fs.ErrNotExist, names: []string{"nope"}},
		"hostile name":             {draft: draft{Entries: []channel.DraftEntry{local("a", "../x")}}, want: channel.ErrName, names: []string{".."}},
		"blob not here":            {draft: draft{Entries: []channel.DraftEntry{local("a", ""), {Entry: &foreign}}}, want: publisher.ErrMissing, names: []string{`"f"`}},
		"two files of one name":    {draft: draft{Entries: []channel.DraftEntry{local("a", ""), local(filepath.Join(w.dir, "in"), "")}}, want: channel.ErrName, names: []string{`"a"`}},
		"a file and an entry":      {draft: draft{Entries: []channel.DraftEntry{local("a", "f"), {Entry: &given}}}, want: channel.ErrName, names: []string{`"f"`}},
		"a folder of an entry":     {draft: draft{Entries: []channel.DraftEntry{local(filepath.Join(w.dir, "sub"), ""), {Entry: &given}}}, want: channel.ErrName, names: []string{`"f"`, `"f/a"`}},
		"removes what is not":      {draft: draft{Entries: one, Remove: []string{"zzz"}}, want: publisher.ErrNoEntry, names: []string{`"zzz"`}},
		"removes from a new one":   {draft: draft{Entries: one, Remove: []string{"zzz"}}, new: true, want: publisher.ErrNoEntry, names: []string{`"zzz"`}},
		"one name put and removed": {draft: draft{Entries: []channel.DraftEntry{local("a", "file")}, Remove: []string{"file"}}, want: channel.ErrName, names: []string{`"file"`}},
		"put by its own name":      {draft: draft{Entries: one, Remove: []string{"a"}}, new: true, want: channel.ErrName, names: []string{`"a"`}},

		"too many entries":         {draft: draft{Entries: times(5000, "")}, new: true, want: channel.ErrLimit, names: []string{"5000", "4096", "several releases"}},
		"too large a folder":       {draft: draft{Entries: []channel.DraftEntry{local(filepath.Join(w.dir, "many"), "")}}, new: true, want: channel.ErrLimit, names: []string{"4096", "several releases"}},
		"one with what was given":  {draft: draft{Entries: append(times(channel.MaxEntries, ""), channel.DraftEntry{Entry: &given})}, want: channel.ErrLimit, names: []string{"4096", "several releases"}},
		"names too long together":  {draft: draft{Entries: times(4000, strings.Repeat("/"+strings.Repeat("n", 200), 4))}, new: true, want: channel.ErrTooLarge, names: []string{"several releases"}},
		"too many removals":        {draft: draft{Entries: one, Remove: remove}, want: channel.ErrLimit, names: []string{"4097", "4096", "several releases"}},
		"too long a title":         {draft: draft{Entries: one, Title: strings.Repeat("t", channel.MaxTitle+1)}, new: true, want: channel.ErrLimit, names: []string{"title", "256"}},
		"a title of two lines":     {draft: draft{Entries: one, Title: "a\nb"}, new: true, want: channel.ErrMalformed, names: []string{"title"}},
		"too long a description":   {draft: draft{Entries: one, Description: strings.Repeat("t", channel.MaxDescription+1)}, want: channel.ErrLimit, names: []string{"description"}},
		"too many pairs":           {draft: draft{Entries: one, Metadata: pairs}, new: true, want: channel.ErrLimit, names: []string{"metadata", "64"}},
		"too many attrs":           {draft: draft{Entries: []channel.DraftEntry{{Path: "a", Attrs: pairs}}}, new: true, want: channel.ErrLimit, names: []string{"attrs", "64"}},
		"a folder of the channel":  {draft: draft{Entries: []channel.DraftEntry{local("a", "folder")}}, want: publisher.ErrConflict, names: []string{`"folder"`}},
		"below a file":             {draft: draft{Entries: []channel.DraftEntry{local("a", "file/x")}}, want: publisher.ErrConflict, names: []string{`"file"`}},
		"a key that is not in it":  {draft: draft{Entries: one}, key: stranger, want: channel.ErrNotAuthorized, names: []string{stranger.Public().Short()}},
		"a chunk of no right size": {draft: draft{Entries: one}, new: true, want: nil, names: []string{"chunk size"}},
	} {
		spec := publisher.DraftSpec{Draft: test.draft, Dir: filepath.Join(w.dir, "in"), Channel: c.Channel, Key: w.key}
		if test.new {
			spec.Channel = channel.ID{}
		}
		if !test.key.IsZero() {
			spec.Key = test.key
		}
		if test.want == nil {
			spec.ChunkSize = 1000
		}
		_, err := w.FromDraft(t.Context(), spec)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
			continue
		}
		for _, n := range test.names {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%s: %v, which does not say %s", name, err, n)
			}
		}
		if got := w.stats().BlobCount; got != before {
			t.Errorf("%s: %d blobs were stored", name, got-before)
		}
	}
}

func TestADraftForAKeyThatMayPublishNoMoreIsRefusedBeforeAnythingIsSealed(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	w.file("a", []byte("a"))
	w.clock.move(11 * 365 * 24 * time.Hour)
	_, err := w.FromDraft(t.Context(), publisher.DraftSpec{
		Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: "a"}}}, Dir: w.dir, Channel: c.Channel, Key: w.key,
	})
	if !errors.Is(err, channel.ErrExpired) {
		t.Error(err)
	}
	if s := w.stats(); s.BlobCount != 0 {
		t.Errorf("%d blobs were stored", s.BlobCount)
	}
}

func TestADraftThatDoesNotFitTheStoreIsNoRelease(t *testing.T) {
	w := newWorld(t, 5*codec.MinChunkSize)
	path := w.file("file", pattern(10*codec.MinChunkSize, 1))
	_, err := w.FromDraft(t.Context(), publisher.DraftSpec{
		Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: path}}}, Key: w.key, ChunkSize: codec.MinChunkSize,
	})
	if !errors.Is(err, blobnet.ErrFull) {
		t.Error(err)
	}
}
