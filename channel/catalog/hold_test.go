package catalog

import (
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

func TestWhatHoldsUpdatesBack(t *testing.T) {
	fresh := LogInfo{Status: feed.Status{Publishes: true, Fresh: true}}
	stale := LogInfo{Status: feed.Status{Publishes: true}}
	forked := LogInfo{Frozen: true, Status: feed.Status{Publishes: true}}
	revoked := LogInfo{Status: feed.Status{Revoked: true}}
	for name, c := range map[string]struct {
		info Info
		want string
	}{
		"fresh":                         {Info{Logs: []LogInfo{fresh, revoked}}, ""},
		"one of two stale":              {Info{Logs: []LogInfo{fresh, stale}}, "stale"},
		"one of two forked":             {Info{Logs: []LogInfo{fresh, forked}}, ""},
		"forked, and the other stale":   {Info{Logs: []LogInfo{stale, forked}}, "stale"},
		"all forked":                    {Info{Logs: []LogInfo{forked}}, "forked"},
		"forked, and settled by a root": {Info{Logs: []LogInfo{revoked}}, "stale"},
		"the root expired":              {Info{Logs: []LogInfo{fresh}, RootExpired: true}, "stale"},
		"nothing published":             {Info{}, "stale"},
	} {
		c.info.HasRoot, c.info.Root.Kind = true, channel.Update
		if got, message := c.info.Hold(); got != c.want || (got == "") != (message == "") {
			t.Errorf("%s: %q, %q", name, got, message)
		}
		c.info.Root.Kind = channel.Media
		if got, _ := c.info.Hold(); got != "" {
			t.Errorf("%s, of media: %q", name, got)
		}
	}
}
