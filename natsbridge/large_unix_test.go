//go:build large && unix

package natsbridge

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/internal/natslab"
)

// The server's process stands still for over a minute: connections stay open, and what
// was written to them comes later or never.
func TestAFullSizeServerThatStandsStillForAMinuteLosesNothing(t *testing.T) {
	t.Parallel()
	s := natslab.One(t)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 200)
	left.append(want...)
	left.bridge(left.config(s.URL))
	right.bridge(right.config(s.URL))
	right.has(c)
	s.Stop()
	second := time.NewTicker(time.Second) // a real one: it is another process that stands still
	defer second.Stop()
	for range 65 {
		more := releases(c, 3)
		left.append(more...)
		want = append(want, more...)
		<-second.C
	}
	if len(left.saw(EventFailed))+len(left.saw(EventDisconnected)) == 0 {
		t.Error("nothing was said of it")
	}
	s.Continue()
	right.has(c)
	right.whole(c, want)
	last := releases(c, 20) // and all goes on
	left.append(last...)
	right.has(c)
	right.whole(c, append(want, last...))
}
