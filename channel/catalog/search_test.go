package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// found searches, and returns kind and name of each hit.
func found(t testing.TB, c *Catalog, f Search) []string {
	t.Helper()
	res, err := c.Search(t.Context(), f)
	if err != nil {
		t.Fatalf("%q: %v", f.Query, err)
	}
	var out []string
	for _, h := range res.Hits {
		name := h.Name
		if h.Kind == HitChannel {
			name = h.Title
		}
		out = append(out, string(h.Kind)+" "+name)
	}
	return out
}

func wantFound(t testing.TB, c *Catalog, f Search, want ...string) {
	t.Helper()
	got := found(t, c, f)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%+v: %q, want %q", f, got, want)
	}
}

// library is a catalogue with a channel of music and one of programs.
func library(t testing.TB) (*Catalog, *channeltest.Channel, *channeltest.Channel) {
	t.Helper()
	c := fresh(t)
	music, programs := channeltest.NewChannel(t, "Aurora", "music/live"), channeltest.NewChannel(t, "builds", "software/linux")
	follow(t, c, music)
	follow(t, c, programs)
	song := channeltest.Entry("2026/my_song-01.flac", 5000)
	song.MediaType, song.Attrs = "audio/flac; rate=48000", map[string]string{"artist": "Аврора Café"}
	clip := channeltest.Entry("2026/NightRecording02.mkv", 9000)
	clip.MediaType = "video/x-matroska"
	body := channel.Body{
		Title: "Second night", Description: "Recorded on the same evening as the songs of summer.\nMastered later.",
		Metadata: map[string]string{"venue": "Paradiso"}, Entries: []channel.FileEntry{song, clip},
	}
	body.Sort()
	offer(t, c, music.Release(body), feed.Accepted)
	offer(t, c, programs.Files("song-editor_1.2.deb", "kernel.deb"), feed.Accepted)
	return c, music, programs
}

func TestSearchFindsTitlesDescriptionsNamesAndAttributes(t *testing.T) {
	c, music, programs := library(t)
	const song, clip, release = "file 2026/my_song-01.flac", "file 2026/NightRecording02.mkv", "release Second night"
	for query, want := range map[string][]string{
		"song":                {song, "file song-editor_1.2.deb", release},
		"SONG my":             {song},
		"ÁURORA":              {"channel Channel of Aurora"},
		"аврора":              {song},
		"cafe":                {song},
		"paradiso":            {release},
		"mastered":            {release},
		`"same evening"`:      {release},
		`"evening same"`:      nil,
		"recording":           {clip},
		"nightrec":            {clip},
		"record":              {clip, release},
		`"record"`:            nil,
		"my_song-01.flac":     {song},
		"linux":               {"channel Channel of builds"},
		"channel":             {"channel Channel of Aurora", "channel Channel of builds"},
		"song nowhere":        nil,
		`song" OR * ) -name:`: nil,
		"my (son*)":           {song},
	} {
		wantFound(t, c, Search{Query: query}, want...)
	}
	for _, f := range []struct {
		Search
		want []string
	}{
		{Search{Query: "song", Channel: music.ID}, []string{song, release}},
		{Search{Query: "song", Topic: "software"}, []string{"file song-editor_1.2.deb"}},
		{Search{Query: "song", Topic: "soft"}, nil},
		{Search{Query: "song", Topic: "music/live", Channel: programs.ID}, nil},
		{Search{Query: "2026", Type: "video"}, []string{clip}},
		{Search{Query: "2026", Type: "AUDIO/flac"}, []string{song}},
		{Search{Query: "2026", Type: "audio/fla"}, nil},
		{Search{Query: "song", MinSize: 5000}, []string{song}},
		{Search{Query: "song", MaxSize: 4999}, []string{"file song-editor_1.2.deb"}},
		{Search{Query: "song", Since: channeltest.Epoch().Add(time.Hour)}, nil},
		{Search{Query: "song", Since: channeltest.Epoch()}, []string{song, "file song-editor_1.2.deb", release}},
	} {
		wantFound(t, c, f.Search, f.want...)
	}
}

func TestSearchRanksNamesOverDescriptionsAndRareWordsOverCommonOnes(t *testing.T) {
	c, _, _ := library(t)
	got := found(t, c, Search{Query: "song"})
	if len(got) != 3 || got[2] != "release Second night" {
		t.Errorf("song: %q", got)
	}
	res, err := c.Search(t.Context(), Search{Query: "evening"})
	if err != nil || len(res.Hits) != 1 || !strings.Contains(res.Hits[0].Snippet, "the same evening") {
		t.Errorf("evening: %+v, %v", res, err)
	}
	res, err = c.Search(t.Context(), Search{Query: "2026", Limit: 1})
	if err != nil || len(res.Hits) != 1 || !res.More {
		t.Errorf("2026: %+v, %v", res, err)
	}
}

func TestSearchKnowsNoRemovedEntriesAndNoneThatAreVoid(t *testing.T) {
	c, music, _ := library(t)
	offer(t, c, music.Release(channel.Body{Removals: []channel.Removal{{Name: "2026/my_song-01.flac"}}}), feed.Accepted)
	wantFound(t, c, Search{Query: "my_song"})
	entry := channeltest.Entry("2026/my_song-01.flac", 1)
	entry.Attrs = map[string]string{"artist": "Someone"}
	offer(t, c, music.Release(channel.Body{Entries: []channel.FileEntry{entry}}), feed.Accepted)
	wantFound(t, c, Search{Query: "my_song"}, "file 2026/my_song-01.flac")
	wantFound(t, c, Search{Query: "аврора"})
	wantFound(t, c, Search{Query: "someone"}, "file 2026/my_song-01.flac")

	// A root withdraws the key and everything after its first release.
	first := firstHash(t, c, music)
	offer(t, c, music.Replace(func(r *channel.Root) {
		r.Revoked = []channel.Revoked{{Key: music.Key(), Seq: 1, Hash: first}}
		r.Publishers, r.Title = nil, "Renamed"
	}), feed.Accepted)
	wantFound(t, c, Search{Query: "someone"})
	wantFound(t, c, Search{Query: "аврора"}, "file 2026/my_song-01.flac")
	wantFound(t, c, Search{Query: "aurora"})
	wantFound(t, c, Search{Query: "renamed"}, "channel Renamed")
}

func firstHash(t *testing.T, c *Catalog, ch *channeltest.Channel) channel.Hash {
	t.Helper()
	rs, err := c.Releases(t.Context(), ch.ID, 0, 1)
	if err != nil || len(rs) != 1 {
		t.Fatal(rs, err)
	}
	return rs[0].Hash
}

func TestBodiesInBlobsAreFoundOnceTheyAreOpened(t *testing.T) {
	c := fresh(t)
	ch := channeltest.NewChannel(t, "alice")
	follow(t, c, ch)
	offer(t, c, ch.ReleaseByRef(channeltest.Ref("body", 100)), feed.Accepted)
	wantFound(t, c, Search{Query: "hidden"})
	body := channel.Body{Title: "Hidden title", Entries: []channel.FileEntry{channeltest.Entry("hidden.txt", 1)}}
	if err := c.PutBody(t.Context(), ch.ID, ch.Hash, body); err != nil {
		t.Fatal(err)
	}
	wantFound(t, c, Search{Query: "hidden"}, "file hidden.txt", "release Hidden title")
}

// What people type is never read as FTS5's language.
func TestHostileNamesAndQueriesDoNoHarmToSearch(t *testing.T) {
	c := fresh(t)
	ch := channeltest.NewChannel(t, "alice")
	follow(t, c, ch)
	offer(t, c, ch.Files(`") OR name:* NEAR(a b) --`, `'; DROP TABLE entries; --`, "Ａｄｌａｍ 𞤢𞤣𞤤𞤢𞤥 東京"), feed.Accepted)
	signs := []rune("\"'()*^:-+{}\\ \x00\u2028aANDORNEARé東\xff")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		var q []rune
		for range rnd.IntN(20) {
			q = append(q, signs[rnd.IntN(len(signs))])
		}
		if _, err := c.Search(t.Context(), Search{Query: string(q)}); err != nil && !errors.Is(err, ErrQuery) {
			t.Fatalf("%q: %v", string(q), err)
		}
	}
	for query, want := range map[string]int{"drop table": 1, "near": 1, "𞤢𞤣𞤤𞤢𞤥": 1, "𞤢𞤣": 1, "adlam": 1, "東京": 1, "京東": 0, "京": 1} {
		if got := found(t, c, Search{Query: query}); len(got) != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	for _, bad := range []Search{{}, {Query: "***"}, {Query: strings.Repeat("a", MaxQuery+1)}, {Query: "a", Limit: MaxHits + 1}, {Query: "\xff"}} {
		if _, err := c.Search(t.Context(), bad); !errors.Is(err, ErrQuery) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// undo3 takes out of a file what schema3 and all later ones put in.
const undo3 = `
DROP TRIGGER channels_lost; DROP TRIGGER entries_lost;
DROP TABLE found_channels; DROP TABLE found_releases; DROP TABLE found_entries; DROP TABLE releases; DROP TABLE words; DROP TABLE unindexed;
DROP TABLE places; DROP INDEX channels_skeleton;
ALTER TABLE channels DROP COLUMN skeleton; ALTER TABLE channels DROP COLUMN followers;
ALTER TABLE channels DROP COLUMN weight; ALTER TABLE channels DROP COLUMN seen;
DROP TABLE written; DROP TABLE passed; DROP TABLE petnames;
DROP INDEX manifests_sealed; ALTER TABLE manifests DROP COLUMN ref; DROP TABLE read_keys; DROP TABLE members;
DROP TRIGGER entries_former; DROP TABLE former; DROP TABLE unpins; DROP TABLE retention;
DROP TRIGGER entries_outdone; DROP INDEX entries_position; DROP TABLE outdone; DROP TABLE unsaid;
DROP TABLE labels; DROP TABLE member_lists; DROP TABLE owed; DROP TABLE dead; DROP TABLE pages; DROP TABLE snapshots; ALTER TABLE logs DROP COLUMN joined;
PRAGMA user_version = 2;
`

// A home of the program before this one is indexed when it is opened, in parts,
// and a stop in between loses nothing.
func TestCatalogueOfTheSecondSchemaIsIndexed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	ch, other := channeltest.NewChannel(t, "alice"), channeltest.NewChannel(t, "listed", "software/linux")
	follow(t, c, ch)
	const files = 2*fillBatch + 100
	for i := 0; i < files; i += 50 {
		var names []string
		for j := range 50 {
			names = append(names, fmt.Sprintf("word%d number%d.txt", (i+j)%7, i+j))
		}
		offer(t, c, ch.Files(names...), feed.Accepted)
	}
	offer(t, c, ch.Release(channel.Body{Title: "A title", Removals: []channel.Removal{{Name: "word0 number0.txt"}}}), feed.Accepted)
	if err := c.Expect(t.Context(), other.ID, Listed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, other.Envelope, feed.Accepted)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	exec1(t, path, undo3)

	// The first program that opens it is stopped after some hundred rows.
	c = open(t, path)
	if err := c.update(t.Context(), "going back", func(t *tx) error {
		for _, text := range []string{"INSERT INTO found_entries (found_entries) VALUES ('delete-all')",
			"INSERT INTO unindexed SELECT 'entries', min(no), max(no) FROM entries", "DELETE FROM words"} {
			if _, err := t.exec(text); err != nil {
				return err
			}
		}
		clear(c.words)
		_, err := t.fillSome(300)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wantFound(t, c, Search{Query: `"number1"`}, "file word1 number1.txt")
	wantFound(t, c, Search{Query: `"number1000"`})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = open(t, path)
	wantFound(t, c, Search{Query: "number0"}) // it was removed
	wantFound(t, c, Search{Query: `"number1"`}, "file word1 number1.txt")
	wantFound(t, c, Search{Query: fmt.Sprint("number", files-1)}, fmt.Sprintf("file word%d number%d.txt", (files-1)%7, files-1))
	wantFound(t, c, Search{Query: "title"}, "release A title")
	wantFound(t, c, Search{Query: "listed"}, "channel Channel of listed")
	var left int
	if err := c.view(t.Context(), "counting", func(s *session) error {
		return s.get([]any{&left}, "SELECT count(*) FROM unindexed")
	}); err != nil || left != 0 {
		t.Errorf("%d spans are left, %v", left, err)
	}
	offer(t, c, ch.Files("afterwards.txt"), feed.Accepted)
	wantFound(t, c, Search{Query: "afterwards"}, "file afterwards.txt")
}
