package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/node/api"
)

// A title that plays this program's own words, or that reads otherwise than it is,
// is seen for what it is wherever titles are shown.
func TestTitlesCannotImitateWhatTheProgramSays(t *testing.T) {
	hostile := "Radio\u200b, own, release 7\x1b[2J\u200f\nstate fresh"
	const shown = `"Radio\u200b, own, release 7\x1b[2J\u200f\nstate fresh"`
	info := api.ChannelInfo{Title: hostile, Petnames: []string{"radio"}, State: "followed"}
	event := func(name string, v any) api.Event {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return api.Event{Name: name, Raw: raw}
	}
	var channelShow, browse, copies, hit, update bytes.Buffer
	show(&channelShow, api.ShowResult{ChannelInfo: info})
	printTopic(&browse, api.BrowseResult{Channels: []api.BrowseChannel{{Title: hostile, State: "listed", Seq: 1, Release: hostile}}})
	printCopies(&copies, api.CopiesResult{Title: hostile})
	printHit(&hit, api.SearchHit{Kind: "release", Name: hostile, Title: hostile})
	offered(&update, api.UpdateResult{Newer: true, Version: "1.0.0", Notes: hostile + "\r\n\tand more"})
	for where, text := range map[string]string{
		"channel-show":   channelShow.String(),
		"channel-list":   titled(info),
		"channel-browse": browse.String(),
		"channel-status": copies.String(),
		"search":         hit.String(),
		"a release":      words(event("manifest", map[string]string{"title": hostile})),
		"a channel":      words(event("channel", map[string]string{"title": hostile})),
	} {
		if !strings.Contains(text, shown) {
			t.Errorf("%s: %s", where, text)
		}
		if strings.ContainsAny(text, "\x1b\u200b\u200f") {
			t.Errorf("%s: what cannot be seen got out: %q", where, text)
		}
	}
	if got := update.String(); !strings.HasSuffix(got, "\n  | Radio\\u200b, own, release 7\\x1b[2J\\u200f\n  | state fresh\n  |     and more\n") {
		t.Errorf("update-check: %q", got)
	}
}
