package catalog

import (
	"encoding/json"
	"math"
	"strings"
)

// limit works out the filters on channels. It reports false where nothing can
// pass.
func (r *search) limit() (bool, error) {
	var parts []string
	if r.f.Type != "" {
		parts = append(parts, `scope : "t`+scopeWord(r.f.Type)+`"`)
	}
	if !r.f.Channel.IsZero() || r.f.Topic != "" {
		all, filled, err := r.numbers()
		if err != nil || len(all) == 0 {
			return false, err
		}
		if len(filled) <= scopes {
			tokens := []string{quote(channelScope(0))} // nothing's, where there are none
			for _, no := range filled {
				tokens = append(tokens, quote(channelScope(no)))
			}
			parts = append(parts, "scope : ("+strings.Join(tokens, " OR ")+")")
			r.scoped = true
		}
		list, err := json.Marshal(all)
		if err != nil {
			return false, err
		}
		r.within = string(list)
	}
	r.scope = strings.Join(parts, " AND ")
	return true, nil
}

// numbers are those of the channels that the filters let pass, and of those among
// them of which there is more than what listings say.
func (r *search) numbers() (all, filled []int64, err error) {
	take := func(scan func(...any) error) (bool, error) {
		var no int64
		var full bool
		err := scan(&no, &full)
		if all = append(all, no); full {
			filled = append(filled, no)
		}
		return true, err
	}
	id, below := r.f.Channel, r.f.Topic+"/"
	const columns = "SELECT no, reason > 1 OR entries > 0 FROM channels WHERE "
	const onTopic = "no IN (SELECT channel FROM topics WHERE topic = ? OR topic >= ? AND topic < ?)"
	switch {
	case r.f.Topic == "":
		err = r.each(take, columns+"id = ?", id[:])
	case id.IsZero():
		err = r.each(take, columns+onTopic, r.f.Topic, below, after(below))
	default:
		err = r.each(take, columns+"id = ? AND "+onTopic, id[:], r.f.Topic, below, after(below))
	}
	return all, filled, err
}

// after is the first text that does not begin with prefix and comes after all
// that do. prefix does not end with the last character there is.
func after(prefix string) string {
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

// filtered reports whether there is a filter that the index knows nothing of.
func (r *search) filtered() bool {
	return r.within != "" || r.f.MinSize > 0 || r.f.MaxSize < math.MaxInt64 || !r.f.Since.IsZero() || r.f.Label != ""
}

func (r *search) since() int64 {
	if r.f.Since.IsZero() {
		return math.MinInt64
	}
	return r.f.Since.Unix()
}
