// Package size reads and writes numbers of bytes as people do. It is for config
// and for documents that people write.
//
// It must never depend on where the text comes from.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Parse reads a number of bytes: "4096", "64KiB", "10 GiB", "1.5GB". Units
// with an i are powers of 1,024, those without powers of 1,000; a bare letter
// (K, M, G, T) counts as the former.
func Parse(s string) (int64, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	digits := strings.TrimRight(t, "bkmgtpi ")
	n, err := strconv.ParseFloat(digits, 64)
	unit, ok := units[strings.TrimSpace(t[len(digits):])]
	if err == nil && ok && n*unit >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large: want less than 8 million TiB", s)
	}
	if err != nil || !ok || n < 0 || math.IsNaN(n) {
		return 0, fmt.Errorf("%q is not a size: want bytes or a number with KiB, MiB, GiB, TiB", s)
	}
	return int64(n * unit), nil
}

var units = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

// Format writes n bytes for people, to one decimal: "1.5 GiB".
func Format(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1024 && unit < 4 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", value, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}
