package podcast

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
)

// What a feed may have. A text of a few kilobytes, packed, can have millions of
// elements, each of which takes hundreds of bytes once it is read: one such feed would
// end the plugin, and with it the polls of all others.
const (
	maxDepth    = 100
	maxEntries  = 100_000 // that are called item or entry; more than maxItems are not looked at
	maxElements = 600_000 // elements and attributes of XML, objects and values of JSON
	// maxUnread is how many may be where the text cannot be followed to its end.
	maxUnread = 100_000
)

// bounded refuses a feed that takes too much memory. It reads the text the way the
// parser does, and keeps nothing.
func bounded(text []byte) error {
	if bytes.HasPrefix(bytes.TrimLeft(text, " \r\n\t\x00\xfe\xff\xef\xbb\xbf"), []byte("{")) {
		return boundedJSON(text)
	}
	return boundedXML(text)
}

func boundedXML(text []byte) error {
	d := xml.NewDecoder(&ascii{from: text})
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	depth, entries, elements := 0, 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil { // as the parser will say, if it agrees
			if n := bytes.Count(text, []byte("<")); n > maxUnread {
				return fmt.Errorf("it is damaged and has %d elements, at most %d are read then: %w", n, maxUnread, err)
			}
			return nil
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			elements += 1 + len(t.Attr)
			if t.Name.Local == "item" || t.Name.Local == "entry" {
				entries++
			}
		case xml.EndElement:
			depth--
		}
		if err := within(depth, entries, elements); err != nil {
			return err
		}
	}
}

func boundedJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	depth, objects, values := 0, 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return nil // its end, or what the parser, which reads all of it first, refuses
		}
		values++
		switch token {
		case json.Delim('{'):
			depth, objects = depth+1, objects+1
		case json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if err := within(depth, objects/4, values); err != nil { // an item has several
			return err
		}
	}
}

func within(depth, entries, elements int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("its elements are nested deeper than %d", maxDepth)
	case entries > maxEntries:
		return fmt.Errorf("it has over %d items", maxEntries)
	case elements > maxElements:
		return fmt.Errorf("it has over %d elements", maxElements)
	}
	return nil
}

// ascii gives a text in whatever encoding such that its tags are where they were: what
// is not ASCII becomes a letter, control characters, and so half of UTF-16, go.
type ascii struct{ from []byte }

func (a *ascii) Read(b []byte) (n int, err error) {
	for n < len(b) && len(a.from) > 0 {
		c := a.from[0]
		a.from = a.from[1:]
		switch {
		case c >= 0x80:
			c = 'x'
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			continue
		}
		b[n] = c
		n++
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
