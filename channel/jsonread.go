package channel

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonReader walks JSON that a person or another program wrote, and says in
// its errors where (line, column, path) and what (the field by name) is wrong.
// It is stricter than encoding/json: a key twice in an object, a key in other
// case, a number with fraction or exponent, text that is not Unicode, and null
// are refused. It builds no tree: memory is what the result takes.
type jsonReader struct {
	data  []byte
	pos   int
	path  []string // of the value at pos, as in entries[2].root.id
	depth int
}

// maxJSONDepth is more than any format here nests.
const maxJSONDepth = 16

// readJSON calls value with a reader that stands at the one value in data.
func readJSON(what string, data []byte, value func(*jsonReader) error) error {
	err := func() error {
		if len(data) > MaxJSON {
			return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), MaxJSON)
		}
		r := &jsonReader{data: data}
		if err := r.checkSyntax(); err != nil {
			return err
		}
		r.space()
		return value(r)
	}()
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// checkSyntax makes sure that data is one JSON value in UTF-8, so that the
// walk below need not doubt it.
func (r *jsonReader) checkSyntax() error {
	for at := 0; at < len(r.data); {
		c, n := utf8.DecodeRune(r.data[at:])
		if c == utf8.RuneError && n == 1 {
			r.pos = at
			return r.errorf(ErrMalformed, "not valid UTF-8")
		}
		at += n
	}
	var raw json.RawMessage
	err := json.Unmarshal(r.data, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		r.pos = max(0, int(syntax.Offset)-1)
		if len(strings.TrimSpace(string(r.data))) == 0 {
			return r.errorf(ErrMalformed, "it is empty")
		}
		return r.errorf(ErrMalformed, "not JSON: %s", syntax)
	}
	if err != nil {
		return fmt.Errorf("%w: not JSON: %w", ErrMalformed, err)
	}
	return nil
}

// errorf returns an error of the given kind at the reader's position.
func (r *jsonReader) errorf(kind error, format string, args ...any) error {
	return r.wrap(fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...)))
}

// wrap says in which place err arose.
func (r *jsonReader) wrap(err error) error {
	line, column := 1, 1
	for _, c := range string(r.data[:min(r.pos, len(r.data))]) {
		if column++; c == '\n' {
			line, column = line+1, 1
		}
	}
	if len(r.path) == 0 {
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	path := strings.TrimPrefix(strings.Join(r.path, ""), ".")
	return fmt.Errorf("line %d, column %d: %s: %w", line, column, path, err)
}

func (r *jsonReader) space() {
	for r.pos < len(r.data) && strings.IndexByte(" \t\r\n", r.data[r.pos]) >= 0 {
		r.pos++
	}
}

// peek returns the first byte of the value that comes next.
func (r *jsonReader) peek() byte { return r.data[r.pos] }

// object calls field for each pair, the reader standing at the value. It
// refuses a key that occurs twice.
func (r *jsonReader) object(field func(key string) error) error {
	if r.peek() != '{' {
		return r.want("an object")
	}
	var small [32]string
	seen := small[:0]
	return r.items('}', func(int) error {
		at := r.pos
		key, err := r.text()
		if err != nil {
			return err
		}
		if slices.Contains(seen, key) { // few keys: MaxPairs bounds what is kept
			r.pos = at
			return r.errorf(ErrMalformed, "field %q occurs twice", clip(key))
		}
		if len(seen) > 4*MaxPairs {
			return r.errorf(ErrLimit, "an object of so many fields")
		}
		seen = append(seen, key)
		r.space()
		r.pos++ // the colon
		r.space()
		return r.within("."+clip(key), func() error { return field(key) })
	})
}

// array calls item for each value, the reader standing at it.
func (r *jsonReader) array(item func(i int) error) error {
	if r.peek() != '[' {
		return r.want("an array")
	}
	return r.items(']', func(i int) error {
		return r.within("["+strconv.Itoa(i)+"]", func() error { return item(i) })
	})
}

// items walks what stands between two brackets, at the first of which the
// reader stands, and leaves it behind the second.
func (r *jsonReader) items(end byte, item func(i int) error) error {
	if r.depth++; r.depth > maxJSONDepth {
		return r.errorf(ErrMalformed, "nested too deep")
	}
	defer func() { r.depth-- }()
	r.pos++
	for i := 0; ; i++ {
		r.space()
		if r.peek() == end {
			break
		}
		if i > 0 {
			r.pos++ // the comma
			r.space()
		}
		if err := item(i); err != nil {
			return err
		}
	}
	r.pos++
	return nil
}

func (r *jsonReader) within(step string, do func() error) error {
	r.path = append(r.path, step)
	err := do()
	r.path = r.path[:len(r.path)-1]
	return err
}

// unknown refuses the field whose value comes next.
func (r *jsonReader) unknown() error {
	return r.errorf(ErrMalformed, "unknown field")
}

func (r *jsonReader) want(what string) error {
	got := "a number"
	switch r.peek() {
	case '{':
		got = "an object"
	case '[':
		got = "an array"
	case '"':
		got = "a string"
	case 't', 'f':
		got = "a boolean"
	case 'n':
		got = "null"
	}
	return r.errorf(ErrMalformed, "want %s, found %s", what, got)
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	if r.peek() != '"' {
		return "", r.want("a string")
	}
	end := r.pos + 1
	for r.data[end] != '"' {
		if r.data[end] == '\\' {
			end++
		}
		end++
	}
	raw := r.data[r.pos : end+1]
	if loneSurrogate(raw) {
		return "", r.errorf(ErrMalformed, "an escape of half a character")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", r.errorf(ErrMalformed, "not a string")
	}
	r.pos = end + 1
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

// skip steps over a value.
func (r *jsonReader) skip() error {
	switch r.peek() {
	case '{':
		return r.object(func(string) error { return r.skip() })
	case '[':
		return r.array(func(int) error { return r.skip() })
	case '"':
		_, err := r.text()
		return err
	}
	for r.pos < len(r.data) && strings.IndexByte(" \t\r\n,]}", r.data[r.pos]) < 0 {
		r.pos++
	}
	return nil
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
			return r.skip()
		}
		present = true
		v, err = r.uint(1 << 53)
		return err
	})
	return v, present, err
}
