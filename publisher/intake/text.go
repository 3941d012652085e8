package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/channel"
)

// What a source says is made to fit the format: what may stand in no text of a
// channel is left out, and what is too long is cut.

// line is text of one line.
func line(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	return clip(strings.Map(harmless, s), most)
}

// prose is text of many lines.
func prose(s string, most int) string {
	return clip(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return r
		}
		return harmless(r)
	}, strings.ToValidUTF8(s, "\ufffd")), most)
}

// harmless leaves out what channel refuses.
func harmless(r rune) rune {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
		return -1
	}
	return r
}

// clip cuts a text between two characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// pairs makes metadata or attrs fit: at most most of them, the first by key.
func pairs(m map[string]string, most int) map[string]string {
	var out map[string]string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		name, value := line(key, channel.MaxPairKey), prose(m[key], channel.MaxPairValue)
		if name == "" || value == "" || len(out) == most {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out
}

// maxID is how long an id may be to be kept as it is.
const maxID = 1024

// itemID is a thing's id as it stands in attrs: as it is, or what stands for one
// that cannot.
func itemID(id string) string {
	if len(id) <= maxID && line(id, maxID) == id {
		return id
	}
	return "sha256:" + sum(id)
}

func itemVersion(v string) string {
	if len(v) <= 64 && line(v, 64) == v {
		return v
	}
	return sum(v)
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// shown is a thing's id for people and logs.
func shown(id string) string {
	if short := clip(strings.ToValidUTF8(id, "\ufffd"), 80); len(short) < len(id) {
		return strconv.Quote(short) + "..."
	}
	return strconv.Quote(id)
}

// mediaType is a type that a source gives, or nothing: where it gives none that is
// one, name and content say more.
func mediaType(s string) string {
	s = strings.TrimSpace(s)
	if bare, _, _ := strings.Cut(s, ";"); channel.ValidMediaType(s) != nil || strings.EqualFold(strings.TrimSpace(bare), "application/octet-stream") {
		return ""
	}
	return s
}
