package node

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// What is said of a channel's freshness names times only where they are known, and
// that followers hold it back only where they do.
func TestFreshnessSaysSinceWhenAndWhetherItIsHeldBack(t *testing.T) {
	t.Parallel()
	now := channel.TimeOf(time.Now())
	log := func(end channel.Time, fresh bool) catalog.LogInfo {
		return catalog.LogInfo{Seq: 3, Head: &channel.Head{Expires: end}, Status: feed.Status{Publishes: true, Fresh: fresh}}
	}
	info := func(kind channel.Kind, fresh bool, logs ...catalog.LogInfo) catalog.Info {
		return catalog.Info{Reason: catalog.Followed, HasRoot: true, Fresh: fresh, Logs: logs, Root: channel.Root{Kind: kind, Expires: now + 9000}}
	}
	behind := log(now+50, false)
	behind.Behind = true
	expired := info(channel.Update, false)
	expired.Root.Expires, expired.RootExpired = now-20, true
	listed := info(channel.Update, false, log(now-10, false))
	listed.Reason = catalog.Listed
	for name, c := range map[string]struct {
		info         catalog.Info
		until, since channel.Time
		fresh, held  bool
		known        bool
	}{
		"fresh until the first head ends": {info(channel.Update, true, log(now+100, true), log(now+60, true)), now + 60, 0, true, false, true},
		"a head ran out":                  {info(channel.Media, false, log(now-10, false), log(now+60, true)), 0, now - 10, false, false, true},
		"and it is software":              {info(channel.Update, false, log(now-10, false)), 0, now - 10, false, true, true},
		"releases are missing":            {info(channel.Update, false, behind), 0, 0, false, true, true},
		"nobody may publish":              {info(channel.Update, false), 0, 0, false, true, true},
		"the root ran out":                {expired, 0, now - 20, false, true, true},
		"listed alone":                    {listed, 0, 0, false, false, false},
	} {
		f := freshnessOf(c.info)
		if known := f.Fresh != nil; known != c.known || known && *f.Fresh != c.fresh || f.Until != c.until || f.Since != c.since || (f.Held != "") != c.held {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
