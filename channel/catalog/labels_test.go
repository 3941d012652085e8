package catalog

import (
	"maps"
	"testing"

	"github.com/anonymous-media-library/aml/channel/feed"
)

func TestLabelsAreKeptShownFoundAndGoWithTheirRelease(t *testing.T) {
	c, music, programs := library(t)
	ctx := t.Context()
	offer(t, c, music.Files("song-02.flac"), feed.Accepted)
	list, err := c.Releases(ctx, music.ID, 0, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d releases, %v", len(list), err)
	}
	first, second := list[0], list[1]
	for range 2 { // the same again is the same
		if err := c.SetLabels(ctx, first.Position, map[string]string{"tone": "calm", "lang": "de"}); err != nil {
			t.Fatal(err)
		}
	}
	for position, labels := range map[int64]map[string]string{second.Position: {"tone": "loud"}, 1 << 40: {"tone": "of nothing"}} {
		if err := c.SetLabels(ctx, position, labels); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Labels(ctx, music.ID, 10)
	if err != nil || len(got) != 2 || got[0].Seq != second.Seq || got[1].Log != first.Log || !maps.Equal(got[1].Labels, map[string]string{"tone": "calm", "lang": "de"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if newest, err := c.Labels(ctx, music.ID, 1); err != nil || len(newest) != 1 || newest[0].Labels["tone"] != "loud" {
		t.Errorf("the newest: %+v, %v", newest, err)
	}
	if others, err := c.Labels(ctx, programs.ID, 10); err != nil || len(others) != 0 {
		t.Errorf("of the other channel: %+v, %v", others, err)
	}

	wantFound(t, c, Search{Query: "song", Label: "tone"}, "file 2026/my_song-01.flac", "file song-02.flac", "release Second night")
	wantFound(t, c, Search{Query: "song", Label: "tone", Value: "loud"}, "file song-02.flac")
	wantFound(t, c, Search{Query: "second", Label: "lang"}, "release Second night")
	wantFound(t, c, Search{Query: "aurora", Label: "tone"}) // which no channel has
	wantFound(t, c, Search{Query: "song", Label: "unknown"})
	wantFound(t, c, Search{Query: "song", Label: "tone", Channel: programs.ID})

	if err := c.SetLabels(ctx, second.Position, nil); err != nil {
		t.Fatal(err)
	}
	wantFound(t, c, Search{Query: "song", Label: "tone"}, "file 2026/my_song-01.flac", "release Second night")
	err = c.update(ctx, "test", func(tx *tx) error {
		_, err := tx.exec("DELETE FROM manifests WHERE position = ?", first.Position)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := c.Labels(ctx, music.ID, 10); err != nil || len(left) != 0 {
		t.Errorf("of releases that are gone: %+v, %v", left, err)
	}
}
