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

// A rollout to 200 installations, each by processes of its own.
func TestUpdatesOfManyInstallationsAtFullSize(t *testing.T) { updatesFromItsChannel(t, 200) }

// A feed of 2,000 episodes.
func TestAPodcastAtFullSize(t *testing.T) { podcastRoundTrip(t, 2000, 20*time.Minute) }

// What plugin-new writes builds, passes its own test, and plugin-test.
func TestTheBeginningOfAPluginAtFullSize(t *testing.T) {
	dir := skeletonOf(t)
	inSkeleton(t, dir, "test", ".")
	inSkeleton(t, dir, "build", "-o", "plugin", ".")
	t.Log(ok(t, t.TempDir(), "plugin-test", dir, "--from", "example", "--slow", "100"))
}

// Five mirrors and a NATS cluster of three: two are killed, one comes.
func TestAFleetOfMirrorsAtFullSize(t *testing.T) {
	fleetKeeps(t, fleetCase{cluster: true, members: 5, copies: 3, releases: 100, size: 1_500_000, kill: 2, add: 1, ttl: 30 * time.Second, most: 1.1, within: 10 * time.Minute})
}
