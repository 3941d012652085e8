package policy

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// glob reads a pattern of names: * is any run of characters but the slash, ** of
// any, ? is one character but the slash, [a-z] and [!a-z] are sets, \ takes away
// the meaning of what follows. One without a slash is held against the last part
// of a name, others against the whole; one that begins with a slash too, which does
// not count otherwise.
func glob(text string) (pattern, error) {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	rest, whole := strings.CutPrefix(text, "/")
	for rest != "" {
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "**/"):
			re.WriteString(`(?:.*/)?`)
			whole, rest = true, rest[3:]
		case strings.HasPrefix(rest, "**"):
			re.WriteString(`.*`)
			whole, rest = true, rest[2:]
		case c == '*':
			re.WriteString(`[^/]*`)
			rest = rest[1:]
		case c == '?':
			re.WriteString(`[^/]`)
			rest = rest[1:]
		case c == '[':
			set, after, ok := globSet(rest)
			if !ok {
				return pattern{}, fmt.Errorf("%q: a [ without its ]", clip(text))
			}
			re.WriteString(set)
			rest = after
		default:
			if c == '\\' {
				if rest = rest[1:]; rest == "" {
					return pattern{}, fmt.Errorf("%q ends with a backslash", clip(text))
				}
			}
			literal := rest[:1]
			for len(literal) < len(rest) && rest[len(literal)]&0xc0 == 0x80 { // the rest of the character
				literal = rest[:len(literal)+1]
			}
			whole = whole || literal == "/"
			re.WriteString(regexp.QuoteMeta(literal))
			rest = rest[len(literal):]
		}
	}
	re.WriteString(`\z`)
	compiled, err := regexp.Compile(re.String())
	if err != nil {
		return pattern{}, fmt.Errorf("%q: not a pattern of names", clip(text))
	}
	return pattern{Regexp: compiled, text: text, whole: whole}, nil
}

// Glob reads a pattern of names, as keep rules and paths have them.
func Glob(text string) (matches func(name string) bool, err error) {
	p, err := glob(text)
	if err != nil {
		return nil, err
	}
	return p.matches, nil
}

// globSet makes the set that text begins with an expression.
func globSet(text string) (set, rest string, ok bool) {
	body, rest, ok := strings.Cut(text[1:], "]")
	if not, found := strings.CutPrefix(body, "!"); found && not != "" {
		return "[^/" + quoteSet(not) + "]", rest, true
	}
	return "[" + quoteSet(body) + "]", rest, ok && body != "" && body != "!"
}

func quoteSet(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`, `&`, `\&`, `~`, `\~`).Replace(s)
}

// matches holds a glob against a name.
func (p pattern) matches(name string) bool {
	if !p.whole {
		name = path.Base(name)
	}
	return p.MatchString(name)
}

// anyMatches reports whether one of the globs matches.
func anyMatches(globs []pattern, name string) bool {
	for _, g := range globs {
		if g.matches(name) {
			return true
		}
	}
	return false
}
