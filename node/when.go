package node

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// parseWhen reads when something ends: a date, a time in RFC 3339, or how long
// it is good for from now on, such as 90d or 12h. Empty is the zero Time. What
// is over already is refused.
func parseWhen(what, s string, now time.Time) (channel.Time, error) {
	if s == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		at, err = time.Parse(time.DateOnly, s)
	}
	if err != nil {
		var life time.Duration
		if days, ok := strings.CutSuffix(s, "d"); ok {
			var n int64
			n, err = strconv.ParseInt(days, 10, 32)
			life = time.Duration(n) * 24 * time.Hour
			if n > 100*365 || errors.Is(err, strconv.ErrRange) && days[0] != '-' { // also keeps the product from overflowing
				return 0, badRequest("%s %q: that is too far ahead; at most 36500d, or a date", what, s)
			}
		} else {
			life, err = time.ParseDuration(s)
		}
		if err != nil || life <= 0 {
			return 0, badRequest("%s %q: want a date as 2027-01-31, a time as 2027-01-31T12:00:00Z, or how long from now as 90d or 12h", what, s)
		}
		at = now.Add(life)
	}
	if !at.After(now) {
		return 0, badRequest("%s %q: that is over already", what, s)
	}
	t := channel.TimeOf(at)
	if _, err := t.MarshalText(); err != nil {
		return 0, badRequest("%s %q: %w", what, s, err)
	}
	return t, nil
}
