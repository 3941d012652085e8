package channel

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// text reads a string.
func (r *jsonReader) text() (string, error) {
	if r.peek() != '"' {
		return "", r.want("a string")
	}
	end := r.stringEnd()
	raw := r.data[r.pos:end]
	if loneSurrogate(raw) {
		return "", r.errorf(ErrMalformed, "an escape of half a character")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", r.errorf(ErrMalformed, "not a string")
	}
	r.pos = end
	return s, nil
}

// loneSurrogate reports whether the JSON string raw escapes half of a surrogate
// pair, which encoding/json would silently replace.
func loneSurrogate(raw []byte) bool {
	unit := func(i int) uint64 { // of the escape at raw[i:], 0 if there is none
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0
		}
		v, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return v
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		switch v := unit(i); {
		case v >= 0xdc00 && v <= 0xdfff:
			return true
		case v >= 0xd800 && v <= 0xdbff:
			if low := unit(i + 6); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		default:
			i++ // what is escaped is no backslash that begins an escape
		}
	}
	return false
}

// uint reads a whole number of at most most.
func (r *jsonReader) uint(most uint64) (uint64, error) {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, r.want("a number")
	}
	end := r.pos
	for end < len(r.data) && strings.IndexByte("+-.0123456789eE", r.data[end]) >= 0 {
		end++
	}
	v, err := strconv.ParseUint(string(r.data[r.pos:end]), 10, 64)
	if err != nil || v > most {
		return 0, r.errorf(ErrMalformed, "want a whole number from 0 to %d", most)
	}
	r.pos = end
	return v, nil
}

// into reads a string into v.
func (r *jsonReader) into(v encoding.TextUnmarshaler) error {
	at := r.pos
	s, err := r.text()
	if err != nil {
		return err
	}
	if err := v.UnmarshalText([]byte(s)); err != nil {
		r.pos = at
		if !errors.Is(err, ErrMalformed) {
			err = fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return r.wrap(err)
	}
	return nil
}

// pairs reads an object of strings.
func (r *jsonReader) pairs() (map[string]string, error) {
	m := make(map[string]string)
	err := r.object(func(key string) error {
		if len(m) == MaxPairs {
			return r.errorf(ErrLimit, "more than %d pairs", MaxPairs)
		}
		v, err := r.text()
		m[key] = v
		return err
	})
	if err != nil || len(m) == 0 {
		return nil, err
	}
	return m, nil
}

// skip steps over a value without looking into it.
func (r *jsonReader) skip() {
	for depth := 0; r.pos < len(r.data); {
		switch c := r.data[r.pos]; c {
		case '"':
			r.pos = r.stringEnd()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return // the end of what a number or word stands in
			}
			if depth == 0 {
				r.pos++
				return
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return
			}
		}
		r.pos++
	}
}

// stringEnd returns the offset behind the string that comes next.
func (r *jsonReader) stringEnd() int {
	end := r.pos + 1
	for r.data[end] != '"' {
		if r.data[end] == '\\' {
			end++
		}
		end++
	}
	return end + 1
}

// version looks for the field "version" of the object that comes next, without
// moving the reader: a file of a later version must give ErrVersion, whatever
// else is new in it. Without the field it returns absent.
func (r *jsonReader) version() (v uint64, present bool, err error) {
	if r.peek() != '{' {
		return 0, false, r.want("an object")
	}
	at := r.pos
	defer func() { r.pos = at }()
	err = r.object(func(key string) error {
		if key != "version" {
			r.skip()
			return nil
		}
		present = true
		v, err = r.uint(1 << 53)
		return err
	})
	return v, present, err
}
