package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/viper"
)

// reader reads values and keeps the first error.
type reader struct {
	v    *viper.Viper
	from func(key string) string // where the value comes from
	err  error
}

func (r *reader) fail(key, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: "+format, append([]any{r.from(key)}, args...)...)
	}
}

// text is a value that is one word; a list, or what else a file may hold, is
// shown as it is, and understood by nobody.
func (r *reader) text(key string) string {
	if s := r.v.GetString(key); s != "" {
		return s
	}
	if other := r.v.Get(key); other != nil {
		return fmt.Sprint(other)
	}
	return ""
}

// list reads a list that the environment gives as one string, split at commas
// and white space.
func list(v *viper.Viper, key string) []string {
	var out []string
	for _, s := range v.GetStringSlice(key) {
		out = append(out, strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

// terms reads a list whose parts may hold spaces, joined by commas.
func (r *reader) terms(key string) string {
	if many, ok := r.v.Get(key).([]any); ok {
		parts := make([]string, len(many))
		for i, p := range many {
			parts[i] = fmt.Sprint(p)
		}
		return strings.Join(parts, ",")
	}
	return r.v.GetString(key)
}

func (r *reader) boolean(key string) bool {
	switch s := strings.ToLower(r.text(key)); s {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
	default:
		r.fail(key, "%s is %q: want true or false", key, s)
	}
	return false
}

func (r *reader) size(key string) int64 {
	n, err := ParseSize(r.text(key))
	if err != nil {
		r.fail(key, "%s: %w", key, err)
	}
	return n
}

func (r *reader) quota(key string) Quota {
	q, err := ParseQuota(r.text(key))
	if err != nil {
		r.fail(key, "%s: %w", key, err)
	}
	return q
}

// maxCount is more than any system has of what is counted.
const maxCount = 1 << 20

// count reads a number of things, of which there is at least one.
func (r *reader) count(key string) int {
	n, err := strconv.Atoi(r.text(key))
	if err != nil || n < 1 || n > maxCount {
		r.fail(key, "%s is %q: want a whole number from 1 to %d", key, r.text(key), maxCount)
	}
	return n
}

func (r *reader) duration(key string) time.Duration {
	d, err := time.ParseDuration(r.text(key))
	if err != nil || d < time.Second {
		r.fail(key, "%s is %q: want a time such as 15m or 1h30m, from 1s on", key, r.text(key))
	}
	return d
}
