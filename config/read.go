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
	v   *viper.Viper
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
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
	switch s := strings.ToLower(r.v.GetString(key)); s {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
	default:
		r.fail("%s is %q: want true or false", key, s)
	}
	return false
}

func (r *reader) size(key string) int64 {
	n, err := ParseSize(r.v.GetString(key))
	if err != nil {
		r.fail("%s: %w", key, err)
	}
	return n
}

func (r *reader) quota(key string) Quota {
	q, err := ParseQuota(r.v.GetString(key))
	if err != nil {
		r.fail("%s: %w", key, err)
	}
	return q
}

// count reads a number of things, of which there is at least one.
func (r *reader) count(key string) int {
	n, err := strconv.Atoi(r.v.GetString(key))
	if err != nil || n < 1 {
		r.fail("%s is %q: want a whole number from 1 on", key, r.v.GetString(key))
	}
	return n
}

func (r *reader) duration(key string) time.Duration {
	d, err := time.ParseDuration(r.v.GetString(key))
	if err != nil || d < time.Second {
		r.fail("%s is %q: want a time such as 15m or 1h30m, from 1s on", key, r.v.GetString(key))
	}
	return d
}
