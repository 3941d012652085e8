package gossip

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Roots of made-up channels each name eight topics of eight levels of their own.
// Two thousand of them name more topics than were once remembered; a node that
// knows an honest channel answers for its topic all the same.
func TestSybilChannelsWithTopicsOfTheirOwnHideNoTopic(t *testing.T) {
	k := newTopicKeys()
	k.listen("listened/to")
	var ledger []string
	for i := range 2000 {
		var topics []string
		for j := range channel.MaxTopics {
			topics = append(topics, fmt.Sprintf("%d-%d%s", i, j, strings.Repeat("/x", 6))+fmt.Sprintf("/%d", j))
		}
		k.learn(topics)
		ledger = append(ledger, topics...)
	}
	for i := range 12_000 { // and those that came and went since
		k.learn([]string{fmt.Sprintf("gone/%d", i), fmt.Sprintf("gone/%d/a", i), fmt.Sprintf("gone/%d/b", i), fmt.Sprintf("gone/%d/c", i), fmt.Sprintf("gone/%d/d", i)})
	}
	if len(k.above) > maxAbove || len(k.named) > spareKeys {
		t.Errorf("%d topics and %d above them are remembered", len(k.named), len(k.above))
	}
	ledger = append(ledger, "honest/topic")
	k.learn([]string{"honest/topic", "honest/a", "honest/b", "honest/c", "honest/d", "honest/e"})
	all := func(context.Context) ([]string, error) { return ledger, nil }
	for _, want := range []string{"honest/topic", ledger[0], "listened/to"} {
		if got, ok := k.find(t.Context(), channel.TopicKey(want), all); !ok || got != want {
			t.Errorf("asked for %q: %q, %v", want, got, ok)
		}
	}
	if _, ok := k.find(t.Context(), channel.TopicKey("gone/1"), all); ok {
		t.Error("a topic that is in the Ledger no more is remembered for ever")
	}
}

// Who asks while the Ledger is being read for somebody else is not told that
// there is no such topic.
func TestATopicIsFoundWhileTheLedgerIsBeingReadForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTopicKeys()
		reads := 0
		all := func(context.Context) ([]string, error) {
			reads++
			<-time.After(time.Second)
			return []string{"a/b", "c"}, nil
		}
		found := make(chan string, 2)
		for _, topic := range []string{"a", "c"} {
			go func() {
				got, _ := k.find(t.Context(), channel.TopicKey(topic), all)
				found <- got
			}()
		}
		for range 2 {
			if got := <-found; got == "" {
				t.Error("a topic was not found")
			}
		}
		if _, ok := k.find(t.Context(), channel.TopicKey("d"), all); ok || reads != 1 {
			t.Errorf("%v, the Ledger was read %d times", ok, reads)
		}
	})
}
