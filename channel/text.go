package channel

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// hostileRune reports whether r may stand in no text of a channel: it breaks
// lines or terminals, or makes text read otherwise than it is. The set is
// written out, and is independent of the version of Unicode, so that every
// implementation refuses the same: C0 and C1 controls and DEL; the line and
// paragraph separators; the bidirectional embeddings, overrides and isolates;
// the byte order mark.
func hostileRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x2028, r == 0x2029:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	case r == 0xfeff:
		return true
	}
	return false
}

// maxStack is the most characters of names and topics that may be stacked on
// one another. Some implementations of NFC, that of Go among them, change a
// text that stacks over 30 (Unicode's Stream-Safe Text Format) and others do
// not: below that limit all agree on what NFC is. No script needs half as many.
const maxStack = 16

// overstacked reports whether s has more than maxStack stacking characters in a
// row: marks (general category M), the vowels and trailing consonants of
// conjoining Jamo, the halfwidth voicing marks of Katakana.
func overstacked(s string) bool {
	run := 0
	for _, r := range s {
		if unicode.Is(unicode.M, r) || r >= 0x1160 && r <= 0x11ff || r == 0xff9e || r == 0xff9f {
			if run++; run > maxStack {
				return true
			}
		} else {
			run = 0
		}
	}
	return false
}

// checkLine checks text of one line: valid UTF-8 of at most most bytes without
// hostile characters.
func checkLine(what, s string, most int) error { return checkText(what, s, most, false) }

// checkProse is checkLine for text of many lines: tabs, line feeds and carriage
// returns are fine.
func checkProse(what, s string, most int) error { return checkText(what, s, most, true) }

func checkText(what, s string, most int, lines bool) error {
	if len(s) > most {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrLimit, what, len(s), most)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s is not valid UTF-8", ErrMalformed, what)
	}
	for i, r := range s {
		if lines && (r == '\n' || r == '\r' || r == '\t') {
			continue
		}
		if hostileRune(r) {
			return fmt.Errorf("%w: %s has the character %U at byte %d", ErrMalformed, what, r, i)
		}
	}
	return nil
}

// checkPairs checks metadata or attrs: at most MaxPairs of them, keys of 1 to
// MaxPairKey bytes of one line, values of at most MaxPairValue bytes of text.
func checkPairs(what string, pairs map[string]string) error {
	if len(pairs) > MaxPairs {
		return fmt.Errorf("%w: %s has %d pairs, at most %d are allowed", ErrLimit, what, len(pairs), MaxPairs)
	}
	for k, v := range pairs {
		if k == "" {
			return fmt.Errorf("%w: %s has an empty key", ErrMalformed, what)
		}
		if err := checkLine("a key of "+what, k, MaxPairKey); err != nil {
			return err
		}
		if err := checkProse(fmt.Sprintf("%s[%q]", what, k), v, MaxPairValue); err != nil {
			return err
		}
	}
	return nil
}

// ValidMediaType checks an RFC 6838 type and subtype, with parameters if any:
// printable ASCII, two tokens with a slash between them, then nothing, or a
// semicolon and whatever follows.
func ValidMediaType(s string) error {
	if len(s) > MaxMediaType {
		return fmt.Errorf("%w: media type has %d bytes, at most %d are allowed", ErrLimit, len(s), MaxMediaType)
	}
	slash, end := -1, len(s)
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("%w: media type has a byte %#02x", ErrMalformed, c)
		}
		if end < len(s) {
			continue
		}
		switch {
		case c == ';':
			end = i
		case c == '/' && slash < 0:
			slash = i
		case !tokenByte(c):
			return fmt.Errorf("%w: media type %q", ErrMalformed, clip(s))
		}
	}
	if slash < 1 || slash+1 >= end {
		return fmt.Errorf("%w: media type %q is not like video/mp4", ErrMalformed, clip(s))
	}
	return nil
}

// tokenByte reports whether c may stand in an RFC 6838 restricted name.
func tokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '&', '-', '^', '_', '.', '+':
		return true
	}
	return false
}
