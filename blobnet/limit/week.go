package limit

import (
	"strings"
	"time"
)

// Week says at which hours something may be done at all. The empty Week is
// always. Rates in it mean nothing.
type Week []Hours

// ParseWeek reads hours with commas between them, each with days if not on all
// of them: "22:00-06:00", "mon-fri 22:00-06:00, sat+sun 00:00-24:00". They are
// those of the clock in zone (nil: time.Local). Errors are of type *SyntaxError.
func ParseWeek(text string, zone *time.Location) (Week, error) {
	p := parser{text: text, zone: zone, example: "mon-fri 22:00-06:00,sat+sun 00:00-24:00"}
	if len(text) > maxText {
		p.text = text[:64]
		return nil, p.fail(0, "longer than %d characters", maxText)
	}
	var week Week
	offset := 0
	for part := range strings.SplitSeq(text, ",") {
		words := fields(part, offset)
		offset += len(part) + 1
		if len(words) == 0 {
			if strings.TrimSpace(text) == "" {
				break
			}
			return nil, p.fail(offset-1, "nothing between commas")
		}
		h := Hours{Zone: zone}
		var err error
		if len(words) > 1 {
			if h.Days, err = p.days(words[0]); err != nil {
				return nil, err
			}
			words = words[1:]
		}
		if len(words) > 1 {
			return nil, p.fail(words[1].offset, "%q after the hours: there are commas between them", clip(words[1].text))
		}
		if h.From, h.To, err = p.hours(words[0]); err != nil {
			return nil, err
		}
		week = append(week, h)
	}
	return week, nil
}

// Holds reports whether t is within the hours.
func (w Week) Holds(t time.Time) bool {
	for _, h := range w {
		if h.hold(t) {
			return true
		}
	}
	return len(w) == 0
}

// Change returns when Holds next says otherwise than at t, to the minute, and
// zero if it never does.
func (w Week) Change(t time.Time) time.Time {
	if len(w) == 0 {
		return time.Time{}
	}
	now := w.Holds(t)
	at := t.Truncate(time.Minute)
	for range 8 * minutesOfDay {
		if at = at.Add(time.Minute); w.Holds(at) != now {
			return at
		}
	}
	return time.Time{}
}
