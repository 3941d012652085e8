package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxAge bounds every age: what is longer is meant as "always".
const maxAge = 100 * 365 * 24 * time.Hour

var ageUnits = []struct {
	name string
	of   time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// ParseAge reads a length of time as people say it: whole numbers of weeks,
// days, hours, minutes and seconds, the larger before the smaller: "7d", "24h",
// "30m", "1d12h". Empty is none.
func ParseAge(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not an age: want for example 7d, 24h or 30m", clip(text))
	var age time.Duration
	rest, next := strings.TrimSpace(text), 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 32)
		if err != nil || digits == len(rest) {
			return 0, bad
		}
		unit := next
		for unit < len(ageUnits) && ageUnits[unit].name != rest[digits:digits+1] {
			unit++
		}
		if unit == len(ageUnits) {
			return 0, bad
		}
		if n > uint64(maxAge/ageUnits[unit].of) {
			return 0, fmt.Errorf("%q is over a hundred years", clip(text))
		}
		age += time.Duration(n) * ageUnits[unit].of
		next, rest = unit+1, rest[digits+1:]
	}
	if age > maxAge {
		return 0, fmt.Errorf("%q is over a hundred years", clip(text))
	}
	return age, nil
}

// FormatAge writes what ParseAge reads, to the second; weeks as days.
func FormatAge(age time.Duration) string {
	var b strings.Builder
	for _, u := range ageUnits[1:] {
		if n := age / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			age -= n * u.of
		}
	}
	return b.String()
}
