package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/internal/size"
)

// ParseSize reads a number of bytes: "4096", "64KiB", "10 GiB", "1.5GB". Units
// with an i are powers of 1,024, those without powers of 1,000; a bare letter
// (K, M, G, T) counts as the former.
func ParseSize(s string) (int64, error) { return size.Parse(s) }

// FormatSize writes n bytes for people, to one decimal: "1.5 GiB".
func FormatSize(n int64) string { return size.Format(n) }

// Quota is how much may be kept: Bytes, or Percent of the disk it is kept on. If
// both are zero there is no limit.
type Quota struct {
	Bytes   int64
	Percent float64
}

// ParseQuota reads a size, or a part of the disk as "20%".
func ParseQuota(s string) (Quota, error) {
	number, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	if !ok {
		n, err := ParseSize(s)
		return Quota{Bytes: n}, err
	}
	p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(p > 0 && p <= 100) {
		return Quota{}, fmt.Errorf("%q is not a part of a disk: want more than 0%% and at most 100%%", s)
	}
	return Quota{Percent: p}, nil
}
