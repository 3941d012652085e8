package policy

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/anonymous-media-library/aml/channel"
)

// Template makes the names that files get below a subscription's folder. The
// zero Template leaves them the names that they have in the channel.
type Template struct{ parts []part }

// part is a text, or a placeholder.
type part struct{ text, placeholder string }

// placeholders are what may stand in braces.
var placeholders = []string{"file", "dir", "name", "ext", "title", "channel", "seq", "date"}

// ParseTemplate reads texts with placeholders: {file} is the name in the
// channel, made of {dir}, {name} and {ext} (with its dot); {title} is that of the
// release, {seq} its number, {date} its day (2026-11-30, UTC), {channel} the
// channel's title. Slashes make folders.
func ParseTemplate(text string) (Template, error) {
	if text == "" {
		return Template{}, nil
	}
	if len(text) > MaxTemplate || !utf8.ValidString(text) {
		return Template{}, fmt.Errorf("want at most %d bytes of UTF-8", MaxTemplate)
	}
	if strings.HasPrefix(text, "/") || strings.ContainsRune(text, '\\') {
		return Template{}, fmt.Errorf("%q: names are below the subscription's folder, with slashes between their parts", clip(text))
	}
	for level := range strings.SplitSeq(text, "/") {
		if level == "." || level == ".." {
			return Template{}, fmt.Errorf("%q leads out of its folder", clip(text))
		}
	}
	var t Template
	named := false
	for rest := text; rest != ""; {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return Template{}, fmt.Errorf("%q: a } without its {", clip(text))
		}
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !open {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return Template{}, fmt.Errorf("%q: a { without its }", clip(text))
		}
		if !slices.Contains(placeholders, name) {
			return Template{}, fmt.Errorf("%q: {%s} is none of {%s}", clip(text), clip(name), strings.Join(placeholders, "} {"))
		}
		named = true
		t.parts = append(t.parts, part{placeholder: name})
		rest = behind
	}
	if !named {
		return Template{}, fmt.Errorf("%q gives every file the same name: use {name}{ext} or {title}{ext}", clip(text))
	}
	return t, nil
}

// Named is what placeholders are made of.
type Named struct {
	File    string // valid name of the channel's entry
	Title   string // of the release
	Channel string // title of the channel
	Seq     uint64
	Issued  channel.Time
}

// Path is the name that a file gets: a valid name of a channel (channel.ValidName)
// that every system can hold, whatever strangers have put into titles. Without a
// template it is File.
func (t Template) Path(n Named) string {
	if len(t.parts) == 0 {
		return n.File
	}
	dir, base := path.Split(n.File)
	ext := path.Ext(base)
	if ext == base {
		ext = "" // .profile
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch p.placeholder {
		case "":
			b.WriteString(p.text)
		case "file":
			b.WriteString(n.File)
		case "dir":
			b.WriteString(strings.TrimSuffix(dir, "/"))
		case "name":
			b.WriteString(strings.TrimSuffix(base, ext))
		case "ext":
			b.WriteString(ext)
		case "title":
			b.WriteString(inOnePart(n.Title))
		case "channel":
			b.WriteString(inOnePart(n.Channel))
		case "seq":
			b.WriteString(strconv.FormatUint(n.Seq, 10))
		case "date":
			b.WriteString(n.Issued.Time().UTC().Format("2006-01-02"))
		}
	}
	return safePath(b.String(), ext)
}

// inOnePart makes text of a stranger that makes no folders.
func inOnePart(s string) string { return strings.NewReplacer("/", "_", "\\", "_").Replace(s) }

// maxPart leaves room, within what systems allow, for what is added where two
// files would get one name.
const maxPart = channel.MaxComponent - 16

// safePath makes a valid and portable name of any text. ext is what is left at
// the end of a part that is cut.
func safePath(s, ext string) string {
	var parts []string
	for p := range strings.SplitSeq(s, "/") {
		if p = safePart(p, ext); p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		parts = []string{"_" + safePart(ext, "")}
	}
	out := strings.Join(parts, "/")
	if len(out) > channel.MaxName-16 { // the last part is the one that tells files apart
		out = parts[len(parts)-1]
	}
	if channel.ValidName(out) != nil {
		out = "_" + out // a reserved beginning
	}
	if channel.ValidName(out) != nil {
		out = "unnamed" + safePart(ext, "") // marks without end
	}
	if channel.ValidName(out) != nil {
		return "unnamed"
	}
	return out
}

func safePart(p, ext string) string {
	p = norm.NFC.String(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < 0x20 || strings.ContainsRune(`<>:"|?*\`, r) || channel.ValidName(string(r)+"x") != nil && r != '.' {
			return '_'
		}
		return r
	}, p))
	p = strings.TrimRight(strings.TrimLeft(p, " "), ". ")
	if len(p) > maxPart {
		end := ""
		if strings.HasSuffix(p, ext) && len(ext) <= 32 {
			end = ext
		}
		p = cutAt(p[:len(p)-len(end)], maxPart-len(end)) + end
		p = strings.TrimRight(p, ". ")
	}
	if p != "" && channel.PortableName(p) != nil {
		p = "_" + p // a device
	}
	return p
}

// cutAt cuts s to at most n bytes, not within a character.
func cutAt(s string, n int) string {
	for n = min(n, len(s)); n > 0 && n < len(s) && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n]
}

// Numbered is path for the nth file that would get it, from 2 on.
func Numbered(name string, n int) string {
	dir, base := path.Split(name)
	ext := path.Ext(base)
	if ext == base || len(ext) > 32 {
		ext = ""
	}
	return dir + strings.TrimSuffix(base, ext) + " (" + strconv.Itoa(n) + ")" + ext
}
