//go:build large

package natsbridge

import (
	"testing"
	"time"
)

const patience = 20 * time.Minute

func TestAFullSizeClusterWhoseLeaderIsKilledLosesNoneOfTenThousandReleases(t *testing.T) {
	killTheLeader(t, 10_000, 2_000)
}
