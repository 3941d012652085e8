package channel

import "encoding"

// JSON reads documents of other rooms as strictly as this one reads its own:
// errors say the line, the column and the field. Values must be read in the
// order in which they come, each once.
type JSON struct{ r *jsonReader }

// ReadJSON calls value with a JSON that stands at the one value in data, of at
// most MaxJSON bytes. what is what errors call the document.
func ReadJSON(what string, data []byte, value func(*JSON) error) error {
	return readJSON(what, data, func(r *jsonReader) error { return value(&JSON{r}) })
}

// Object calls field for each pair, at whose value the JSON then stands. A key
// that occurs twice is refused.
func (j *JSON) Object(field func(key string) error) error { return j.r.object(field) }

// Array calls item for each value.
func (j *JSON) Array(item func(i int) error) error { return j.r.array(item) }

// Unknown refuses the field whose value comes next.
func (j *JSON) Unknown(key string) error { return j.r.unknown(key) }

// Begins reports whether the value that comes next begins with c: '"' is a
// string, '{' an object, '[' an array.
func (j *JSON) Begins(c byte) bool { return j.r.peek() == c }

// Text reads a string.
func (j *JSON) Text() (string, error) { return j.r.text() }

// Uint reads a whole number of at most most.
func (j *JSON) Uint(most uint64) (uint64, error) { return j.r.uint(most) }

// Bool reads true or false.
func (j *JSON) Bool() (bool, error) {
	c := j.r.peek()
	if c != 't' && c != 'f' {
		return false, j.r.want("a boolean")
	}
	j.r.skip()
	return c == 't', nil
}

// Check calls check with a string, and says where it stands if that fails.
func (j *JSON) Check(check func(text string) error) error {
	return j.r.into(textFunc(check))
}

// Refuse is an error of what was wrong with the value that comes next.
func (j *JSON) Refuse(format string, args ...any) error {
	return j.r.errorf(ErrMalformed, format, args...)
}

// Judge reads a value, and says where that begins if judge then refuses it.
func (j *JSON) Judge(read, judge func() error) error {
	at := j.r.pos
	if err := read(); err != nil {
		return err
	}
	if err := judge(); err != nil {
		j.r.pos = at
		return j.r.wrap(err)
	}
	return nil
}

// Version reads the value of a field "version", which must be want.
func (j *JSON) Version(want uint64) error {
	v, err := j.r.uint(1 << 53)
	if err == nil && v != want {
		return j.r.errorf(ErrVersion, "it is %d, want %d", v, want)
	}
	return err
}

type textFunc func(string) error

var _ encoding.TextUnmarshaler = textFunc(nil)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f textFunc) UnmarshalText(text []byte) error { return f(string(text)) }
