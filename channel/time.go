package channel

import (
	"fmt"
	"time"
)

// Time is an instant in whole seconds since 1970 UTC: an integer in CBOR,
// RFC 3339 in UTC in JSON. Zero means that there is none. In a signed
// structure a Time is what the signer claims, no more.
type Time int64

// maxTime is the last second of the year 9999, beyond which RFC 3339 cannot
// write.
const maxTime Time = 253402300799

// TimeOf returns t in whole seconds, rounded down.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.Unix())
}

// Time returns t as the standard library's, in UTC; the zero Time gives the
// zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// IsZero reports whether there is no time.
func (t Time) IsZero() bool { return t == 0 }

// String returns t as RFC 3339 in UTC, "never" when there is none.
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Time().Format(time.RFC3339)
}

// MarshalText returns RFC 3339 in UTC, nothing for the zero Time.
func (t Time) MarshalText() ([]byte, error) {
	if t == 0 {
		return nil, nil
	}
	if err := t.check("time"); err != nil {
		return nil, err
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads RFC 3339 with any offset; a fraction of a second is
// refused, because it would be lost.
func (t *Time) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = 0
		return nil
	}
	v, err := time.Parse(time.RFC3339, string(text))
	if err != nil || !exactRFC3339(string(text)) {
		return fmt.Errorf("%w: time is not RFC 3339 in whole seconds, like 2026-01-31T12:00:00Z", ErrMalformed)
	}
	u := Time(v.Unix())
	if err := u.check("time"); err != nil {
		return err
	}
	*t = u
	return nil
}

// exactRFC3339 reports whether s, which time.Parse took, has the form that
// RFC 3339 gives: time.Parse also takes hours of one digit, fractions that the
// layout does not have, and offsets that no clock has.
func exactRFC3339(s string) bool {
	const zone = len("2006-01-02T15:04:05")
	if len(s) <= zone || s[zone-6] != ':' {
		return false
	}
	switch s[zone] {
	case 'Z':
		return true
	case '+', '-':
		return s[zone+1:zone+3] <= "23" && s[zone+4:] <= "59"
	}
	return false
}

// check refuses what is not an instant between 1970 and 9999.
func (t Time) check(what string) error {
	if t < 1 || t > maxTime {
		return fmt.Errorf("%w: %s %d is not a time between 1970 and 9999", ErrMalformed, what, int64(t))
	}
	return nil
}
