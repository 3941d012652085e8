package node

import (
	"strings"
	"testing"
)

// TestAPeerThatIsNoneIsNotQuotedWhereItMayHoldASecret: errors end up in logs.
func TestAPeerThatIsNoneIsNotQuotedWhereItMayHoldASecret(t *testing.T) {
	for _, peer := range []string{
		"http:/me:SECRET@host/", "http:me:SECRET@host", "HTTPS:/me:SECRET@host/", " http:/host/?token=SECRET", "ws:/host/?token=SECRET", "wss:host?SECRET", "me:SECRET@host:80", "/me:SECRET@host/",
		"http:///me:SECRET@host/", "http://me:SECRET@/", "me:SECRET@host://x", "me:SECRET://x", "http://me:SECRET@ho st/", "http://me:SECRET@host:port/", "gopher://me:SECRET@host/", "x://host/SECRET?SECRET#SECRET",
		"/ip4/127.0.0.1/http://me:SECRET@host/",
	} {
		_, err := parsePeers([]string{peer})
		if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "/ip4/") {
			t.Errorf("%q: %v", peer, err)
		}
	}
	// What cannot hold one is quoted: it helps.
	for _, peer := range []string{"192.168.1.5:4001", "/ip4/192.168.1.5/tcp/4001", "localhost"} {
		if _, err := parsePeers([]string{peer}); err == nil || !strings.Contains(err.Error(), peer) {
			t.Errorf("%q: %v", peer, err)
		}
	}
	if _, err := parsePeers([]string{"http://me:SECRET@host/?x", "WS://host:1/"}); err != nil {
		t.Error(err)
	}
}
