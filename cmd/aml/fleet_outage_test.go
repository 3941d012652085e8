//go:build large

package main

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/natslab"
)

// NATS is killed under a fleet at work: first the server that leads the queue of jobs,
// which comes back later; then two of three, so that one is there and nothing can be
// agreed on; then all, each for longer than a member may be silent. No member takes
// another for dead, and what was published meanwhile is kept as if nothing had been.
func TestAFleetWhoseNATSIsKilledAndComesBackAtFullSize(t *testing.T) {
	t.Parallel()
	const ttl = time.Minute
	var leader *natslab.Server
	kill := func(all natslab.Servers) {
		t.Helper()
		var err error
		if leader, err = all.Leader(t.Context(), "aml_main_JOBS", 4*patience); err != nil {
			t.Fatal(err)
		}
		leader.Kill()
		t.Logf("%s is killed, which led the queue", leader.Name)
	}
	began := time.Now()
	silent := func() {
		t.Helper()
		<-time.NewTimer(ttl * 4 / 3).C
		t.Logf("%v after the beginning so it was for %v", time.Since(began).Round(time.Second), ttl*4/3)
	}
	fleetKeeps(t, fleetCase{cluster: true, members: 5, copies: 3, releases: 60, size: 1_500_000, ttl: ttl, steady: true, most: 1.1, within: 10 * time.Minute,
		trouble: map[int]func(natslab.Servers){
			20: kill,
			35: func(natslab.Servers) { leader.Start() },
			40: func(all natslab.Servers) {
				kill(all)
				for _, s := range all {
					if s != leader {
						s.Kill()
						break
					}
				}
				silent()
				for _, s := range all {
					s.Kill()
				}
			},
			50: func(all natslab.Servers) {
				silent()
				for _, s := range all {
					s.Start()
				}
			},
		}})
}
