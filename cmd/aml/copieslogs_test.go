package main

import (
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/node/api"
)

// Two publishers have a release 1 each; which is whose is said where both are shown.
func TestCopiesOfTwoPublishersAreToldApart(t *testing.T) {
	show := func(logs ...byte) string {
		var res api.CopiesResult
		res.Checked = 1
		for _, log := range logs {
			res.Releases = append(res.Releases, api.ReleaseCopies{Log: channel.PublicKey{log}, Seq: 1, Issued: 1})
		}
		var b strings.Builder
		printCopies(&b, res)
		return b.String()
	}
	if got := show(1, 2); !strings.Contains(got, "release 1 of 1970-01-01, log 010000000000\n") || !strings.Contains(got, "log 020000000000\n") {
		t.Errorf("two publishers: %s", got)
	}
	if got := show(1, 1); strings.Contains(got, "log ") {
		t.Errorf("one publisher: %s", got)
	}
}
