// Package lookalike says which texts a hurried reader takes for the same.
//
// It is for flagging titles that imitate others. It must never decide what is the
// same: names and addresses are compared byte by byte, and an honest title may
// resemble another by chance.
package lookalike

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Skeleton returns what is left of a text when everything is taken away that is
// easily overlooked: case, accents, spaces and signs, the form of a character, and
// the alphabet that it is from. Texts with one skeleton look alike. It is empty
// where nothing is left.
func Skeleton(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(text, " ")) {
		// Once as it is, since capitals look like other letters than their
		// small ones do, and once more in lower case.
		r = like(r)
		if r = like(unicode.ToLower(r)); unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	s := b.String()
	for _, pair := range pairs {
		s = strings.ReplaceAll(s, pair[0], pair[1])
	}
	return norm.NFC.String(s)
}

// pairs are letters that together look like another one.
var pairs = [...][2]string{{"rn", "m"}, {"vv", "w"}}

// like returns the Latin letter that r is taken for, or r.
func like(r rune) rune {
	for _, row := range rows {
		if strings.ContainsRune(row.from, r) {
			return row.to
		}
	}
	return r
}

// rows are characters that are taken for a Latin letter: the likeliest of
// Unicode's list (UTS 39), by hand. It need not be complete, since all that
// depends on it is a warning.
var rows = [...]struct {
	to   rune
	from string
}{
	{'a', "аАαΑɑ@∂"},
	{'b', "ЬьΒВвбßƄ"},
	{'c', "сСϲϹⅽᴄ"},
	{'d', "ԁԀⅾɗ"},
	{'e', "еЕΕεєЄɛҽ℮"},
	{'f', "ƒϝ"},
	{'g', "ɡցԍ"},
	{'h', "һҺΗНнհ"},
	{'k', "кКκΚқ"},
	{'l', "iIіІїΙιıɩ1|ӏӀⅼǀłŁ"},
	{'m', "мМΜⅿ"},
	{'n', "ոΝпΠηлɴ"},
	{'o', "оОοΟ0օσΣθøØѳ〇"},
	{'p', "рРρΡҏ"},
	{'q', "ԛԚգ"},
	{'r', "гГɾᴦ"},
	{'s', "ѕЅ5$ʂꜱ"},
	{'t', "тТτΤŧ7"},
	{'u', "υսцᴜμ"},
	{'v', "νѵѴⅴ"},
	{'w', "ԝԜωшɯ"},
	{'x', "хХχΧⅹ×"},
	{'y', "уУγΥʏүҮ"},
	{'z', "ΖᴢƶʐԶ"},
	{'3', "зЗҙэЭʒ"},
}
