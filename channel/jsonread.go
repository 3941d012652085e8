package channel

import (
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
	keyAt int      // where the key before the value at pos is
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
	return &PlaceError{Line: line, Column: column, Path: strings.TrimPrefix(strings.Join(r.path, ""), "."), Err: err}
}

// PlaceError says where in a document something is wrong. Who has made the document
// of what a person gave otherwise shows Err alone.
type PlaceError struct {
	Line, Column int
	Path         string // of the value, as in entries[2].root.id; empty for the whole
	Err          error
}

// Error implements error.
func (e *PlaceError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("line %d, column %d: %s: %v", e.Line, e.Column, e.Path, e.Err)
}

// Unwrap returns what is wrong there.
func (e *PlaceError) Unwrap() error { return e.Err }

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
		r.keyAt = at
		r.space()
		r.pos++ // the colon
		r.space()
		return r.within(pathStep(key), func() error { return field(key) })
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

// pathStep returns key as a step of a path: as it is where it is a plain word,
// else quoted, since it goes to a terminal.
func pathStep(key string) string {
	plain := key != "" && len(key) <= 64
	for i := range len(key) {
		c := key[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if plain {
		return "." + key
	}
	return "[" + strconv.Quote(clip(key)) + "]"
}

// unknown refuses the field whose value comes next.
func (r *jsonReader) unknown(key string) error {
	whole := r.path
	r.pos, r.path = r.keyAt, whole[:len(whole)-1]
	err := r.errorf(ErrMalformed, "unknown field %q", clip(key))
	r.path = whole
	return err
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
