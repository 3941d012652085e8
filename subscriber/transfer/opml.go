package transfer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/channel"
)

// opmlType is the type of our outlines. Their xmlUrl is the address, which
// readers of other types leave alone.
const opmlType = "aml"

type opml struct {
	XMLName xml.Name  `xml:"opml"`
	Version string    `xml:"version,attr"`
	Title   string    `xml:"head>title"`
	Created string    `xml:"head>dateCreated"`
	Body    []outline `xml:"body>outline"`
}

type outline struct {
	Type     string `xml:"type,attr"`
	Text     string `xml:"text,attr"`
	URL      string `xml:"xmlUrl,attr,omitempty"`
	Category string `xml:"category,attr,omitempty"` // a topic, after a slash
}

// OPML writes the subscriptions of a list, without their policies: OPML has no
// place for those. With keys the addresses have their read keys.
func (l List) OPML(now time.Time, keys bool) ([]byte, error) {
	doc := opml{Version: "2.0", Title: "aml subscriptions", Created: now.UTC().Format(time.RFC1123Z)}
	for _, s := range l.Subscriptions {
		o := outline{Type: opmlType, Text: s.Title}
		if s.Topic == "" {
			o.URL = text(s.Address, keys)
		} else {
			o.Category = "/" + s.Topic
		}
		if o.Text == "" {
			o.Text = strings.TrimPrefix(o.Category, "/")
		}
		if o.Text == "" {
			o.Text = s.Address.String()
		}
		doc.Body = append(doc.Body, o)
	}
	body, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding OPML: %w", err)
	}
	return append([]byte(xml.Header), append(body, '\n')...), nil
}

// parseOPML reads the outlines of a document, however they are grouped: those
// whose xmlUrl is an address, and those of our type that name a topic. Others
// are counted. Nothing outside of the document is looked at, and a document type
// is refused.
func parseOPML(data []byte) (List, error) {
	if len(data) > channel.MaxJSON {
		return List{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", channel.ErrTooLarge, len(data), channel.MaxJSON)
	}
	if !utf8.Valid(data) {
		return List{}, fmt.Errorf("%w: not valid UTF-8", channel.ErrMalformed)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	var l List
	depth, isOPML := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return List{}, fmt.Errorf("%w: %w", channel.ErrMalformed, err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return List{}, fmt.Errorf("%w: it has a document type", ErrList)
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return List{}, fmt.Errorf("%w: nested too deep", channel.ErrMalformed)
			}
			if depth == 1 {
				isOPML = t.Name.Local == "opml"
			}
			if !isOPML {
				return List{}, fmt.Errorf("%w: it is XML, but no OPML", ErrList)
			}
			if t.Name.Local == "outline" {
				if err := l.outline(t, d); err != nil {
					return List{}, err
				}
			}
		}
	}
	if !isOPML {
		return List{}, fmt.Errorf("%w: nothing in it", ErrList)
	}
	return l, nil
}

// outline takes one in.
func (l *List) outline(t xml.StartElement, d *xml.Decoder) error {
	attr := map[string]string{}
	for _, a := range t.Attr {
		attr[a.Name.Local] = a.Value
	}
	s := Subscription{Title: attr["text"]}
	var err error
	switch url := strings.TrimSpace(attr["xmlUrl"]); {
	case strings.HasPrefix(url, "aml://"):
		s.Address, err = channel.ParseAddress(url)
	case attr["type"] == opmlType && url == "":
		category, _, _ := strings.Cut(attr["category"], ",")
		s.Topic, err = channel.NormalizeTopic(category)
	case url != "":
		l.Foreign++
		return nil
	default:
		return nil // a group
	}
	if err != nil {
		line, column := d.InputPos()
		return fmt.Errorf("line %d, column %d: outline: %w", line, column, err)
	}
	if len(l.Subscriptions) == MaxItems {
		return fmt.Errorf("%w: more than %d subscriptions", channel.ErrLimit, MaxItems)
	}
	l.Subscriptions = append(l.Subscriptions, s)
	return nil
}
