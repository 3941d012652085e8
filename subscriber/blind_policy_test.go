package subscriber_test

import (
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/subscriber"
)

// What a blind mirror cannot judge it leaves out under the rule's name, and fetches
// nothing of it, not even the list of its blobs; without the rule it has it after all.
// A quota is such a rule: nobody can tell by a release's seal how large it is.
func TestABlindMirrorWithARuleThatItCannotKeepToFetchesNothingUntilTheRuleIsGone(t *testing.T) {
	for _, text := range []string{`{"quota": "1GiB"}`, `{"maxSize": "1GiB"}`, `{"keywords": ["live"]}`, `{"keep": [{"count": 3}]}`, `{"autoDownload": false}`} {
		p := &picky{world: newWorldOf(t, channel.Private), now: time.Now()}
		p.want(text)
		p.publish("one", files{"a": "first"})
		p.update()
		told := p.take()
		if len(told) != 1 {
			t.Fatalf("%s: %+v", text, told)
		}
		if e, ok := told[0].(subscriber.PassedEvent); !ok || !strings.Contains(text, e.Reason) || e.Seq != 1 || e.Name != "" {
			t.Errorf("%s: %+v", text, told[0])
		}
		if stats, err := p.store.Stats(t.Context()); err != nil || stats.BlobCount != 0 {
			t.Errorf("%s: %d blobs were fetched, %v", text, stats.BlobCount, err)
		}
		p.want(`{"maxAge": "7d"}`) // a rule that it can keep to
		p.update()
		p.wantTold("mirrored 1")
	}
}
