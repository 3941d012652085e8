//go:build !linux && !darwin

package given

import "os"

// markOf knows no mark here: a copy goes unseen, and what is left is that
// others are asked, and that the ledger must not end before this memory.
func markOf(*os.File) (string, error) { return "", nil }
