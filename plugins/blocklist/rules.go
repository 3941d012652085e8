package blocklist

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// How much lists may say, together.
const (
	maxRules = 500_000
	maxGlobs = 1000 // each is held against every file of a release
	maxLine  = 4 << 10
)

// rules are what lists say.
type rules struct {
	exact  map[exact]place
	names  []glob
	types  []glob
	labels int // so that nothing is looked up where there is none
	lists  []string
}

// exact is a rule about one value.
type exact struct {
	kind string
	sum  [sha256.Size]byte
}

// place is where a rule stands.
type place struct {
	list uint32
	line uint32
}

type glob struct {
	text string
	base bool // it is about the last part of a name
}

func newRules() *rules { return &rules{exact: map[exact]place{}} }

func (r *rules) size() int { return len(r.exact) + len(r.names) + len(r.types) }

// parse adds the rules of a list. It goes on after a line that is none, and
// returns the first such.
func (r *rules) parse(list string, text io.Reader) (problem error) {
	r.lists = append(r.lists, list)
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxLine)
	n := uint32(0)
	for lines.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.add(line, place{uint32(len(r.lists) - 1), n}); err != nil && problem == nil {
			problem = fmt.Errorf("%s, line %d: %w", list, n, err)
		}
	}
	if err := lines.Err(); err != nil && problem == nil {
		problem = fmt.Errorf("%s, after line %d: %w", list, n, err)
	}
	return problem
}

func (r *rules) add(line string, at place) error {
	kind, value, _ := strings.Cut(line, " ")
	value = strings.TrimSpace(value)
	switch {
	case value == "" || !utf8.ValidString(value):
		return fmt.Errorf("%.80q is no rule; want KIND VALUE", line)
	case r.size() >= maxRules:
		return fmt.Errorf("more than %d rules", maxRules)
	}
	switch kind {
	case "publisher", "hash":
		if raw, err := hex.DecodeString(value); err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("%s: %.80q is not 64 hex digits", kind, value)
		}
		value = strings.ToLower(value)
	case "channel":
		value, _, _ = strings.Cut(strings.ToLower(strings.TrimPrefix(value, "aml://")), "#")
		value, _, _ = strings.Cut(value, "/")
		if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			return fmt.Errorf("channel: %.80q is no address", value)
		}
	case "label":
		r.labels++
	case "name", "type":
		if len(r.names)+len(r.types) >= maxGlobs {
			return fmt.Errorf("more than %d patterns", maxGlobs)
		}
		g := glob{text: strings.ToLower(value), base: !strings.Contains(value, "/")}
		if kind == "name" {
			r.names = append(r.names, g)
		} else {
			r.types = append(r.types, glob{text: g.text})
		}
		return nil
	default:
		return fmt.Errorf("%.40q is no kind of rule; there are publisher, channel, hash, name, type and label", kind)
	}
	r.exact[exact{kind, sha256.Sum256([]byte(value))}] = at
	return nil
}

// has reports whether there is a rule about a value, and where.
func (r *rules) has(kind, value string) (where string, ok bool) {
	at, ok := r.exact[exact{kind, sha256.Sum256([]byte(value))}]
	if !ok {
		return "", false
	}
	return fmt.Sprintf("%s, line %d", r.lists[at.list], at.line), true
}

// labelled reports whether there is a rule about a label: its key, or its key
// and value.
func (r *rules) labelled(labels map[string]string) (where string, ok bool) {
	if r.labels == 0 {
		return "", false
	}
	for key, value := range labels {
		for _, rule := range []string{key, key + "=" + value} {
			if where, ok := r.has("label", rule); ok {
				return where, true
			}
		}
	}
	return "", false
}

// blocks reports whether a file is to be left out.
func (r *rules) blocks(e *sdk.Entry) bool {
	if _, ok := r.has("hash", hex.EncodeToString(e.Sha256)); ok {
		return true
	}
	name, media := strings.ToLower(e.Name), strings.ToLower(e.MediaType)
	base := path.Base(name)
	for _, g := range r.names {
		if g.base && match(g.text, base) || !g.base && match(g.text, name) {
			return true
		}
	}
	media, _, _ = strings.Cut(media, ";")
	for _, g := range r.types {
		if match(g.text, media) {
			return true
		}
	}
	_, ok := r.labelled(e.Attrs)
	return ok
}

// match reports whether all of s is as pattern says: * is any bytes, ? is one. It
// takes at most len(pattern) * len(s) steps.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
