package catalog

import (
	"strings"
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

// The advice is one that can help: where no key may publish any more, none is to be
// waited for, nor has another follower a newer release.
func TestWhatHoldsUpdatesBackSaysWhatTheUserCanDo(t *testing.T) {
	key := func(b byte) (k channel.PublicKey) { k[0] = b; return k }
	may := channel.Publisher{Key: key(1), Role: channel.RolePublish}
	revoked := channel.Revoked{Key: key(1), Seq: 3}
	log := LogInfo{Log: key(1), Seq: 3}
	for name, c := range map[string]struct {
		root channel.Root
		logs []LogInfo
		want string
	}{
		"the last key is revoked":       {channel.Root{Revoked: []channel.Revoked{revoked}}, []LogInfo{log}, "are revoked"},
		"but a head key is left":        {channel.Root{Revoked: []channel.Revoked{revoked}, Publishers: []channel.Publisher{{Key: key(2), Role: channel.RoleHead}}}, []LogInfo{log}, "are revoked"},
		"the last key has expired":      {channel.Root{Publishers: []channel.Publisher{may}}, []LogInfo{log}, "have expired"},
		"there never was one":           {channel.Root{}, nil, "no key may publish"},
		"nothing has come of it so far": {channel.Root{Publishers: []channel.Publisher{may}}, nil, "--peer"},
	} {
		c.root.Kind = channel.Update
		reason, message := Info{HasRoot: true, Root: c.root, Logs: c.logs}.Hold()
		if reason != "stale" || !strings.Contains(message, c.want) {
			t.Errorf("%s: %s, %s", name, reason, message)
		}
		if owner := strings.Contains(message, "ask its owner"); owner == strings.Contains(message, "--peer") {
			t.Errorf("%s: what the user is to do: %s", name, message)
		}
	}
}
