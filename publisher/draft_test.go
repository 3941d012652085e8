package publisher_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
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
	r, err := w.FromDraft(t.Context(), publisher.DraftSpec{Dir: filepath.Join(w.dir, "in"), Channel: c.Channel, Draft: channel.Draft{
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
	r.Channel, r.Key = c.Channel, w.key
	if p, err := w.Publish(t.Context(), r); err != nil || p.Seq != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if e, err := w.catalog.Entry(t.Context(), c.Channel, "old"); err != nil || !e.Removed {
		t.Errorf("old: %+v, %v", e, err)
	}
}

func TestABadDraftIsRefusedBeforeAnythingIsRead(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	foreign := w.ingest(map[string][]byte{"f": []byte("f")})[0]
	foreign.Root.ID[3] ^= 1
	w.file("in/a", []byte("a"))
	before := w.stats().BlobCount
	local := func(path, name string) channel.DraftEntry { return channel.DraftEntry{Path: path, Name: name} }
	for name, test := range map[string]struct {
		draft   channel.Draft
		channel channel.ID
		want    error
		names   string
	}{
		"empty":                    {channel.Draft{}, c.Channel, channel.ErrMalformed, ""},
		"missing file":             {channel.Draft{Entries: []channel.DraftEntry{local("a", "x"), local("nope", "y")}}, c.Channel, fs.ErrNotExist, "nope"},
		"hostile name":             {channel.Draft{Entries: []channel.DraftEntry{local("a", "../x")}}, c.Channel, channel.ErrName, ".."},
		"blob not here":            {channel.Draft{Entries: []channel.DraftEntry{local("a", ""), {Entry: &foreign}}}, c.Channel, publisher.ErrMissing, `"f"`},
		"two files of one name":    {channel.Draft{Entries: []channel.DraftEntry{local("a", ""), local(filepath.Join(w.dir, "in"), "")}}, c.Channel, channel.ErrName, `"a"`},
		"removes what is not":      {channel.Draft{Entries: []channel.DraftEntry{local("a", "")}, Remove: []string{"zzz"}}, c.Channel, publisher.ErrNoEntry, `"zzz"`},
		"removes from a new one":   {channel.Draft{Entries: []channel.DraftEntry{local("a", "")}, Remove: []string{"zzz"}}, channel.ID{}, publisher.ErrNoEntry, `"zzz"`},
		"one name put and removed": {channel.Draft{Entries: []channel.DraftEntry{local("a", "q")}, Remove: []string{"q"}}, c.Channel, channel.ErrName, `"q"`},
	} {
		_, err := w.FromDraft(t.Context(), publisher.DraftSpec{Draft: test.draft, Dir: filepath.Join(w.dir, "in"), Channel: test.channel})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.names) {
			t.Errorf("%s: %v, want %v naming %s", name, err, test.want, test.names)
		}
		if got := w.stats().BlobCount; got != before {
			t.Errorf("%s: %d blobs were stored", name, got-before)
		}
	}
}
