package gossip

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"testing"
)

// running returns the stacks of goroutines in which one of the words occurs.
func running(words ...string) []string {
	buf := make([]byte, 16<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for _, g := range strings.Split(string(bytes.TrimSpace(buf)), "\n\n") {
		for _, w := range words {
			if strings.Contains(g, w) && !strings.Contains(g, "testing.tRunner") {
				found = append(found, g)
				break
			}
		}
	}
	return found
}

func TestNothingRunsOnAfterTheEnd(t *testing.T) {
	a := newAuthor(t, "leak")
	publisher, n := newNode(t, ""), newNode(t, "")
	connect(t, n.host, publisher.host)
	if err := n.gossip.Listen("test"); err != nil {
		t.Fatal(err)
	}
	n.follow(a)
	a.publish(publisher, 3)
	n.awaitAll(a)
	// A session that waits for a silent peer ends with Run as well.
	asked, stalled := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	h, _ := hostileHost(t, a.id, func(c net.Conn) {
		skip(c)
		close(asked)
		<-stalled
	})
	connect(t, h, n.host)
	<-asked
	n.stop()
	publisher.stop()
	if left := running("aml/channel/gossip.(*Gossip)", "aml/channel/gossip.(*plan)", "aml/channel/gossip.(*server)"); len(left) > 0 {
		t.Errorf("%d goroutines run on:\n%s", len(left), strings.Join(left, "\n\n"))
	}
}

func TestGossipsubEndsWithTheHost(t *testing.T) {
	before := len(running("go-libp2p-pubsub"))
	a := newAuthor(t, "leak")
	publisher, n := newNode(t, ""), newNode(t, "")
	connect(t, n.host, publisher.host)
	n.follow(a)
	a.publish(publisher, 1)
	n.awaitAll(a)
	n.stop()
	publisher.stop()
	n.poll("gossipsub to end", func() bool { return len(running("go-libp2p-pubsub")) <= before })
}
