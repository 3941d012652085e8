//go:build large

package natsbridge

import "testing"

func TestAFullSizeClusterWhoseLeaderIsKilledLosesNoneOfTenThousandReleases(t *testing.T) {
	killTheLeader(t, 10_000, 2_000)
}
