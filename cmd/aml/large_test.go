//go:build large

package main

import (
	"testing"
	"time"
)

// The main job at its full size:
//
//	go test -tags large -run FullSize ./cmd/aml
func TestTheMainJobAtFullSize(t *testing.T) { threeProcesses(t, 256<<20, 200) }

// At most 1 % comes twice of a file that is large enough for it.
func TestAFetchKilledInTheMiddleAtFullSize(t *testing.T) { killedInTheMiddle(t, 256<<20) }

// A feed of 2,000 episodes.
func TestAPodcastAtFullSize(t *testing.T) { podcastRoundTrip(t, 2000, 20*time.Minute) }

// A rollout to 200 installations, each by processes of its own.
func TestUpdatesOfManyInstallationsAtFullSize(t *testing.T) { updatesFromItsChannel(t, 200) }
