// Package words cuts text into the words by which it is found: the same for what
// is indexed and for what is asked, so that neither case nor accents nor the
// signs between words matter.
//
// It is for search. It must never be used for comparing names or topics, which
// are compared byte by byte (CHANNELS.md).
package words

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxWord is how many bytes of a word count; what is longer is cut.
const MaxWord = 64

// Of returns the words of a text, in their order and folded: letters and digits
// in Unicode's form NFKC, in lower case, without marks that stand on others.
// Everything else separates. Of scripts without spaces every character is a word.
func Of(text string) []string {
	var out []string
	cut(text, func(w string) { out = append(out, Fold(w)) })
	return out
}

// Indexed returns Of, and then the parts of those words that say more than one
// thing: of "NightRecording01" also "night", "recording" and "01". The parts
// stand behind all words, so that words which are neighbours stay so.
func Indexed(text string) []string {
	var out, parts []string
	cut(text, func(w string) {
		out = append(out, Fold(w))
		if p := split(w); len(p) > 1 {
			for _, part := range p {
				parts = append(parts, Fold(part))
			}
		}
	})
	return append(out, parts...)
}

// cut gives the words of a text to use, each as it is written.
func cut(text string, use func(string)) {
	start := -1 // of the open word
	end := func(at int) {
		if start >= 0 {
			use(text[start:at])
		}
		start = -1
	}
	for at, r := range text {
		switch {
		case alone(r):
			end(at)
			use(text[at : at+utf8.RuneLen(r)])
		case r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsNumber(r)):
			if start < 0 {
				start = at
			}
		case unicode.IsMark(r) && start >= 0: // belongs to the letter before it
		default:
			end(at)
		}
	}
	end(len(text))
}

// alone reports whether r is of a script that puts no spaces between words.
func alone(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) &&
		unicode.IsLetter(r)
}

// split cuts a word where lower case turns into upper case, and between letters
// and digits.
func split(w string) []string {
	var parts []string
	from := 0
	var before rune
	for at, r := range w {
		if unicode.IsMark(r) {
			continue
		}
		turn := unicode.IsLower(before) && unicode.IsUpper(r) ||
			unicode.IsDigit(before) && unicode.IsLetter(r) || unicode.IsLetter(before) && unicode.IsDigit(r)
		if turn {
			parts = append(parts, w[from:at])
			from = at
		}
		before = r
	}
	return append(parts, w[from:])
}

// Fold brings one word into the form in which words are compared.
func Fold(w string) string {
	if plain := ascii(w); !plain {
		w = norm.NFKD.String(w)
		w = strings.Map(func(r rune) rune {
			switch {
			case unicode.Is(unicode.Mn, r):
				return -1
			case r == 'ß', r == 'ẞ': // the one letter whose upper case is two
				return 'ß'
			case r == 'ς':
				return 'σ'
			}
			return unicode.ToLower(r)
		}, w)
		w = strings.ReplaceAll(norm.NFC.String(w), "ß", "ss")
	} else {
		w = strings.ToLower(w)
	}
	if len(w) > MaxWord {
		at := MaxWord
		for at > 0 && !utf8.RuneStart(w[at]) {
			at--
		}
		w = w[:at]
	}
	return w
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Query is what somebody asks for: all of these have to be there.
type Query struct {
	Phrases [][]string // words that follow one another; mostly one word each
	Prefix  string     // if not empty, the last word: it may go on
}

// MaxPhrases and MaxPhrase bound a Query: what is beyond is left out.
const (
	MaxPhrases = 16
	MaxPhrase  = 16
)

// Parse reads a query. What stands in double quotes is one phrase, and so are the
// parts of what is written as one, as "my-song". The last word is a prefix
// unless a quote ends it. Parse takes every text; one without a letter or digit
// gives an empty Query.
func Parse(text string) Query {
	var q Query
	open := false
	for i, run := range strings.Split(text, `"`) {
		open = i%2 == 1
		if open {
			q.add(Of(run))
			continue
		}
		for _, field := range strings.Fields(run) {
			q.add(Of(field))
		}
	}
	if n := len(q.Phrases); n > 0 && !strings.HasSuffix(strings.TrimSpace(text), `"`) {
		if last := q.Phrases[n-1]; len(last) == 1 && utf8.RuneCountInString(last[0]) > 1 {
			q.Phrases, q.Prefix = q.Phrases[:n-1], last[0]
		}
	}
	return q
}

func (q *Query) add(phrase []string) {
	if len(phrase) == 0 || len(q.Phrases) == MaxPhrases {
		return
	}
	q.Phrases = append(q.Phrases, phrase[:min(len(phrase), MaxPhrase)])
}

// Empty reports whether the query asks for nothing.
func (q Query) Empty() bool { return len(q.Phrases) == 0 && q.Prefix == "" }

// Words returns all words of the query, each once, the prefix not among them.
func (q Query) Words() []string {
	var out []string
	for _, p := range q.Phrases {
		for _, w := range p {
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// Snippet returns a piece of the text of at most about most bytes, on one line,
// around the first word for which found is true. It reports false where there is
// none.
func Snippet(text string, most int, found func(word string) bool) (string, bool) {
	at, hit := 0, false
	// The positions are needed, so the words are cut once more by hand.
	offset := 0
	cut(text, func(w string) {
		if i := strings.Index(text[offset:], w); i >= 0 {
			offset += i
		}
		if !hit && found(Fold(w)) {
			at, hit = offset, true
		}
		offset += len(w)
	})
	if !hit {
		return "", false
	}
	from := max(0, at-most/3)
	to := min(len(text), from+most)
	from = max(0, min(from, to-most))
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	piece := text[from:to]
	if from > 0 { // begin with a whole word
		if i := strings.IndexAny(piece, " \n\t"); i >= 0 && from+i < at {
			piece = piece[i:]
		}
		piece = "… " + strings.TrimLeft(piece, " \n\t")
	}
	if to < len(text) {
		if i := strings.LastIndexAny(piece, " \n\t"); i > len(piece)/2 {
			piece = piece[:i]
		}
		piece = strings.TrimRight(piece, " \n\t") + " …"
	}
	return strings.Join(strings.Fields(piece), " "), true
}
