package scan

import (
	"bytes"
	"fmt"
	"mime"
	"path"
	"strings"
)

// headSize is how much of a file is looked at.
const headSize = 1024

// mark is how files of a type begin.
type mark struct {
	kind  string // what it is, for people
	at    int
	bytes string
	as    []string // media types that it may say it is, or their beginnings
}

// programs run when somebody opens them: they may say that they are programs, and
// nothing else.
var programs = []string{"application/x-", "application/vnd.", "application/octet-stream"}

// marks are those of which there is no doubt. An MP3 or a text may begin in any
// way: of such nothing is said.
func marks() []mark {
	image := func(t string) []string { return []string{"image/" + t, "image/x-" + t, "application/octet-stream"} }
	zip := []string{"application/", "image/openraster", "model/", "font/"} // documents, programs, books
	return []mark{
		{"a Windows program", 0, "MZ", programs},
		{"an ELF program", 0, "\x7fELF", programs},
		{"a macOS program", 0, "\xcf\xfa\xed\xfe", programs},
		{"a macOS program", 0, "\xce\xfa\xed\xfe", programs},
		{"a macOS program", 0, "\xca\xfe\xba\xbe", append([]string{"application/java"}, programs...)},
		{"a script", 0, "#!", []string{"application/", "text/"}},
		{"a PNG image", 0, "\x89PNG\r\n\x1a\n", append(image("png"), "image/apng", "image/vnd.mozilla.apng")},
		{"a JPEG image", 0, "\xff\xd8\xff", append(image("jpeg"), "image/jpg", "image/pjpeg", "image/heic")},
		{"a GIF image", 0, "GIF8", image("gif")},
		{"a PDF", 0, "%PDF-", []string{"application/", "text/pdf", "image/pdf"}},
		{"a ZIP archive", 0, "PK\x03\x04", zip},
		{"a gzip archive", 0, "\x1f\x8b\x08", []string{"application/", "image/svg+xml", "text/", "model/"}},
		{"an xz archive", 0, "\xfd7zXZ\x00", []string{"application/"}},
		{"a zstd archive", 0, "\x28\xb5\x2f\xfd", []string{"application/"}},
		{"a 7z archive", 0, "7z\xbc\xaf\x27\x1c", []string{"application/"}},
		{"a RAR archive", 0, "Rar!\x1a\x07", []string{"application/"}},
		{"an Ogg file", 0, "OggS", []string{"audio/", "video/", "application/ogg", "application/octet-stream"}},
		{"a FLAC file", 0, "fLaC", []string{"audio/", "application/octet-stream"}},
		{"a Matroska file", 0, "\x1a\x45\xdf\xa3", []string{"video/", "audio/", "application/octet-stream"}},
		{"an MP4 file", 4, "ftyp", []string{"video/", "audio/", "image/", "application/"}},
	}
}

// pages are how web pages begin, which a server may send in a file's place.
var pages = []string{"<!doctype html", "<html", "<script"}

// mismatch says in what a file is plainly not what it says, by its media type or,
// where that says nothing, by its name; empty: in nothing.
func mismatch(name, media string, head []byte) string {
	says, _, err := mime.ParseMediaType(media)
	if err != nil || says == "application/octet-stream" {
		says, _, _ = mime.ParseMediaType(mime.TypeByExtension(strings.ToLower(path.Ext(name))))
	}
	if says == "" {
		return ""
	}
	for _, m := range marks() {
		if len(head) < m.at || !bytes.HasPrefix(head[m.at:], []byte(m.bytes)) {
			continue
		}
		for _, as := range m.as {
			if strings.HasPrefix(says, as) {
				return ""
			}
		}
		if m.bytes == "MZ" && strings.HasPrefix(says, "text/") || m.bytes == "#!" && !binary(says) {
			return "" // a text may begin with any two letters
		}
		return fmt.Sprintf("it is %s and says that it is %.80s", m.kind, says)
	}
	start := strings.ToLower(string(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n")))
	for _, p := range pages {
		if binary(says) && strings.HasPrefix(start, p) {
			return fmt.Sprintf("it is a web page and says that it is %.80s", says)
		}
	}
	return ""
}

// binary reports whether files of a type are never text.
func binary(says string) bool {
	for _, p := range []string{"audio/", "video/", "image/", "font/", "application/pdf", "application/zip", "application/gzip"} {
		if strings.HasPrefix(says, p) {
			return says != "image/svg+xml" && !strings.Contains(says, "mpegurl") && says != "audio/x-scpls"
		}
	}
	return false
}
