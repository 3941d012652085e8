package natsbridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheTextOnNATSSaysWhatIsDone holds docs/nats.md against the code.
func TestTheTextOnNATSSaysWhatIsDone(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "nats.md"))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile(filepath.Join("testdata", "accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```\n"+string(conf)+"```") {
		t.Error("the accounts in docs/nats.md are not testdata/accounts.conf")
	}
	n := newNames(DefaultNetwork)
	for what, s := range map[string]string{
		"MaxMessage": number3(MaxMessage), "maxHeader": number3(maxHeader), "MaxJob": number3(MaxJob), "maxDead": number3(maxDead),
		"inputRate": fmt.Sprintf("at most %d messages a second after %s at once", inputRate, number3(inputBurst)),
		"maxDoubts": fmt.Sprintf("at most %d such messages", maxDoubts), "retries": fmt.Sprintf("after %d s to %d min", retryArrival/time.Second, lastArrival/time.Minute),
		"maxTold": fmt.Sprintf("up to %d releases", maxTold), "MaxHops": fmt.Sprintf("`Aml-Hops: %d`", MaxHops), "MaxBundle": fmt.Sprintf("of 1 to %d", MaxBundle),
		"JobWait": fmt.Sprintf("has %d s", JobWait/time.Second), "maxViewed": fmt.Sprintf("At most %d entries", maxViewed),
		"prefix": "`" + strings.Replace(n.prefix, DefaultNetwork, "<network>", 1) + "`", "stream": "`" + strings.Replace(n.stream("<STREAM>"), DefaultNetwork, "<network>", 1) + "`",
		"firstPause": fmt.Sprintf("after %.1f s, %.0f s ... %.0f s", firstPause.Seconds(), 2*firstPause.Seconds(), longest.Seconds()),
		"origin":     headerOrigin, "hops": headerHops, "trace": headerTrace, "id": headerID,
	} {
		if !strings.Contains(string(doc), s) {
			t.Errorf("docs/nats.md does not say %q (%s)", s, what)
		}
	}
}

// number3 is a number as the texts write it.
func number3(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
