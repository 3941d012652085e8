package node

import (
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestTurnsOfAChannelAreToldOnce(t *testing.T) {
	end := channel.TimeOf(time.Now().Add(time.Hour))
	key := channeltest.Pub("a")
	good := catalog.Info{HasRoot: true, Fresh: true, Root: channel.Root{Version: 1, Expires: end + 1000},
		Logs: []catalog.LogInfo{{Log: key, Head: &channel.Head{Expires: end}, Status: feed.Status{Publishes: true, Fresh: true}}}}
	stale := good
	stale.Fresh = false
	revoked := stale
	revoked.Root.Version, revoked.Root.Revoked = 2, []channel.Revoked{{Key: key, Seq: 3}}
	forked := good
	forked.Fresh, forked.Forked, forked.RootFork = false, true, true
	for name, c := range map[string]struct {
		before standing
		now    catalog.Info
		want   []string
	}{
		"just met":         {standing{}, good, nil},
		"just met, forked": {standing{}, forked, []string{"forked"}},
		"nothing":          {standingOf(good), good, nil},
		"became stale":     {standingOf(good), stale, []string{"stale"}},
		"still stale":      {standingOf(stale), stale, nil},
		"fresh again":      {standingOf(stale), good, []string{"fresh"}},
		"a key revoked":    {standingOf(good), revoked, []string{"root", "revoked", "stale"}},
		"a root forked":    {standingOf(good), forked, []string{"forked", "stale"}},
		"still forked":     {standingOf(forked), forked, nil},
	} {
		var got []string
		for _, e := range c.before.turns(c.now) {
			got = append(got, e.Turn)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
	if until := standingOf(good).until; !until.Equal(end.Time()) {
		t.Errorf("it may become stale at %s, want %s", until, end)
	}
}
