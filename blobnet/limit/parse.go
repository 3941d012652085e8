package limit

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// maxText bounds what Parse reads, in bytes.
const maxText = 4096

// example is shown with every error of Parse.
const example = "10MiB/s,peer=2MiB/s,prefetch=1MiB/s,mon-fri 08:00-18:00=500KiB/s"

// SyntaxError says where a text is no configuration.
type SyntaxError struct {
	Text   string // the whole of it, or its beginning
	Offset int    // in bytes: where it went wrong
	Why    string

	example string // of a right text; if empty, the one of Parse
}

// Error names the place, and shows what a right text looks like.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("reading limits %q: at character %d: %s; want for example %q", e.Text, e.Offset+1, e.Why, cmp.Or(e.example, example))
}

// Parse reads a configuration as users write it: settings with commas between
// them, each one of
//
//	10MiB/s                        all together
//	peer=2MiB/s                    each peer
//	prefetch=1MiB/s                a class: stream, foreground, prefetch, repair
//	22:00-06:00=none               all together, at these hours
//	mon-fri 08:00-18:00=1MiB/s     the same, on days that begin them
//	sat+sun 00:00-24:00=5MiB/s peer=1MiB/s    and more that holds then
//
// Hours are those of the clock in zone (nil: time.Local). "none" is no limit, as
// is 0; "/s" may be left out, and units are those of sizes: 1KiB is 1,024, 1KB
// is 1,000. The empty text is no limit at all. Errors are of type *SyntaxError.
func Parse(text string, zone *time.Location) (Config, error) {
	p := parser{text: text, zone: zone}
	if len(text) > maxText {
		p.text = text[:64]
		return Config{}, p.fail(0, "longer than %d characters", maxText)
	}
	var c Config
	offset := 0
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) != "" {
			if err := p.setting(&c, part, offset); err != nil {
				return Config{}, err
			}
		} else if strings.TrimSpace(text) != "" {
			return Config{}, p.fail(offset, "nothing between commas")
		}
		offset += len(part) + 1
	}
	return c, nil
}

type parser struct {
	text    string
	zone    *time.Location
	example string
}

func (p *parser) fail(offset int, format string, args ...any) error {
	return &SyntaxError{Text: p.text, Offset: offset, Why: fmt.Sprintf(format, args...), example: p.example}
}

// field is a word of a setting, and where it begins in the text.
type field struct {
	text   string
	offset int
}

// fields splits at spaces.
func fields(part string, offset int) []field {
	var out []field
	for i := 0; i < len(part); {
		if part[i] == ' ' || part[i] == '\t' {
			i++
			continue
		}
		end := i
		for end < len(part) && part[end] != ' ' && part[end] != '\t' {
			end++
		}
		out = append(out, field{part[i:end], offset + i})
		i = end
	}
	return out
}

// setting reads what stands between two commas.
func (p *parser) setting(c *Config, part string, offset int) error {
	words := fields(part, offset)
	first := words[0]
	name, value, hasName := cut(first)
	if !strings.Contains(name.text, ":") && (hasName || len(words) == 1) {
		if len(words) > 1 {
			return p.fail(words[1].offset, "%q after the rate: settings have commas between them", clip(words[1].text))
		}
		if !hasName {
			value, name.text = first, ""
		}
		rate, err := p.rate(value)
		if err != nil {
			return err
		}
		return p.put(&c.Total, &c.PerPeer, &c.Class, name, rate)
	}
	h := Hours{Zone: p.zone}
	if !hasName {
		days, err := p.days(first)
		if err != nil {
			return err
		}
		h.Days, words = days, words[1:]
		name, value, hasName = cut(words[0])
	}
	if !hasName {
		return p.fail(words[0].offset+len(words[0].text), "hours without a rate: %q", clip(words[0].text))
	}
	var err error
	if h.From, h.To, err = p.hours(name); err != nil {
		return err
	}
	for i, w := range words {
		name := field{offset: w.offset}
		if i > 0 {
			if name, value, hasName = cut(w); !hasName {
				return p.fail(w.offset, "%q is no setting of these hours", clip(w.text))
			}
		}
		rate, err := p.rate(value)
		if err != nil {
			return err
		}
		if rate == 0 {
			rate = Unlimited
		}
		if err := p.put(&h.Total, &h.PerPeer, &h.Class, name, rate); err != nil {
			return err
		}
	}
	c.Schedule = append(c.Schedule, h)
	return nil
}

// cut splits "NAME=VALUE".
func cut(f field) (name, value field, ok bool) {
	before, after, ok := strings.Cut(f.text, "=")
	return field{before, f.offset}, field{after, f.offset + len(before) + 1}, ok
}

// put stores a rate under its name.
func (p *parser) put(total, perPeer *int64, class *[blobnet.Classes]int64, name field, rate int64) error {
	switch name.text {
	case "", "total":
		*total = rate
		return nil
	case "peer":
		*perPeer = rate
		return nil
	}
	for i := range class {
		if blobnet.Class(i).String() == name.text {
			class[i] = rate
			return nil
		}
	}
	return p.fail(name.offset, "%q is none of total, peer, stream, foreground, prefetch, repair", clip(name.text))
}

var units = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
}

// rate reads bytes per second, 0 for "none".
func (p *parser) rate(f field) (int64, error) {
	t := strings.TrimSuffix(strings.ToLower(f.text), "/s")
	if t == "none" {
		return 0, nil
	}
	digits := strings.TrimRight(t, "bkmgi")
	unit, known := units[t[len(digits):]]
	for _, r := range digits {
		known = known && (r >= '0' && r <= '9' || r == '.')
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || n*unit >= math.MaxInt64 || n > 0 && n*unit < 1 {
		return 0, p.fail(f.offset, "%q is no rate: want a number with KiB, MiB or GiB, or none", clip(f.text))
	}
	return int64(n * unit), nil
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// days reads "mon-fri", "sat+sun", "fri-mon+wed" or "daily".
func (p *parser) days(f field) (Days, error) {
	var set Days
	offset := f.offset
	for part := range strings.SplitSeq(strings.ToLower(f.text), "+") {
		first, last, isRange := strings.Cut(part, "-")
		from := weekday(first)
		to := from
		if isRange {
			to = weekday(last)
		}
		switch {
		case part == "daily":
			set |= EveryDay
		case from < 0 || to < 0:
			return 0, p.fail(offset, "%q is no day: want mon, tue, wed, thu, fri, sat, sun, or daily", clip(part))
		default:
			for d := from; ; d = (d + 1) % 7 {
				if set |= 1 << d; d == to {
					break
				}
			}
		}
		offset += len(part) + 1
	}
	return set, nil
}

func weekday(name string) int {
	for i, d := range weekdays {
		if name == d {
			return i
		}
	}
	return -1
}

// hours reads "HH:MM-HH:MM".
func (p *parser) hours(f field) (from, to int, err error) {
	first, last, ok := strings.Cut(f.text, "-")
	if !ok {
		return 0, 0, p.fail(f.offset, "%q are no hours: want HH:MM-HH:MM", clip(f.text))
	}
	from, ok = minute(first)
	if !ok || from == minutesOfDay {
		return 0, 0, p.fail(f.offset, "%q is no time of the day: want 00:00 to 23:59", clip(first))
	}
	if to, ok = minute(last); !ok {
		return 0, 0, p.fail(f.offset+len(first)+1, "%q is no time of the day: want 00:00 to 24:00", clip(last))
	}
	return from, to, nil
}

// minute reads "HH:MM" or "H:MM".
func minute(s string) (int, bool) {
	hour, min, ok := strings.Cut(s, ":")
	if !ok || len(hour) < 1 || len(hour) > 2 || len(min) != 2 {
		return 0, false
	}
	h, err := strconv.ParseUint(hour, 10, 8)
	if err != nil {
		return 0, false
	}
	m, err := strconv.ParseUint(min, 10, 8)
	if err != nil || m > 59 || h*60+m > minutesOfDay {
		return 0, false
	}
	return int(h*60 + m), true
}

// clip cuts what an error quotes.
func clip(s string) string {
	if len(s) > 32 {
		return s[:32] + "..."
	}
	return s
}
