//go:build !large

package natsbridge

import "time"

// patience is how long a test waits for what must happen. It decides only how
// soon a broken build is noticed.
const patience = 3 * time.Minute
