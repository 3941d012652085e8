package natsbridge

import (
	"errors"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestAConsumerThatSomebodyAlteredIsSetRight(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	cfg := right.config(s.ClientURL())
	cfg.Consumer = "secret"
	right.bridge(cfg)
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	for _, name := range []string{streamManifests, streamHeads} {
		st, err := js.Stream(t.Context(), n.stream(name))
		if err != nil {
			t.Fatal(err)
		}
		cons, err := st.Consumer(t.Context(), "aml-secret")
		if err != nil {
			t.Fatalf("the name that was asked for: %v", err)
		}
		deaf := cons.CachedInfo().Config
		deaf.FilterSubject = n.prefix + "fork.x"
		if name == streamHeads {
			deaf.FilterSubject = n.prefix + "head.x"
		}
		if _, err := st.UpdateConsumer(t.Context(), deaf); err != nil {
			t.Fatal(err)
		}
	}
	want := releases(c, 3)
	left.append(want...)
	left.append(c.Head(time.Hour))
	right.hasHead(c)
	right.whole(c, want)
	until(t, "it is said, and set right", func() bool {
		for _, e := range right.saw(EventFailed) {
			if errors.Is(e.Err, errAltered) {
				st, err := js.Stream(t.Context(), n.stream(streamManifests))
				if err != nil {
					t.Fatal(err)
				}
				cons, err := st.Consumer(t.Context(), "aml-secret")
				return err == nil && cons.CachedInfo().Config.FilterSubject == ""
			}
		}
		return false
	})
}
