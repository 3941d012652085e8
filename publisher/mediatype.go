package publisher

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"
)

// types are media types by extension. The table is our own, and not the
// system's, so that a file gets the same type wherever it is published.
var types = map[string]string{
	"7z": "application/x-7z-compressed", "aac": "audio/aac", "aiff": "audio/aiff", "apk": "application/vnd.android.package-archive",
	"avi": "video/x-msvideo", "avif": "image/avif", "bin": "application/octet-stream", "bmp": "image/bmp", "br": "application/x-brotli",
	"bz2": "application/x-bzip2", "css": "text/css; charset=utf-8", "csv": "text/csv; charset=utf-8",
	"deb": "application/vnd.debian.binary-package", "djvu": "image/vnd.djvu", "dmg": "application/x-apple-diskimage",
	"doc": "application/msword", "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"epub": "application/epub+zip", "exe": "application/vnd.microsoft.portable-executable", "flac": "audio/flac", "flv": "video/x-flv",
	"gif": "image/gif", "go": "text/x-go; charset=utf-8", "gz": "application/gzip", "heic": "image/heic", "htm": "text/html; charset=utf-8",
	"html": "text/html; charset=utf-8", "ico": "image/vnd.microsoft.icon", "ics": "text/calendar; charset=utf-8",
	"iso": "application/vnd.efi.iso", "jar": "application/java-archive", "jpeg": "image/jpeg", "jpg": "image/jpeg",
	"js": "text/javascript; charset=utf-8", "json": "application/json", "jxl": "image/jxl", "m3u8": "application/vnd.apple.mpegurl",
	"m4a": "audio/mp4", "m4b": "audio/mp4", "m4v": "video/x-m4v", "md": "text/markdown; charset=utf-8", "mid": "audio/midi",
	"mjs": "text/javascript; charset=utf-8", "mka": "audio/x-matroska", "mkv": "video/x-matroska", "mov": "video/quicktime",
	"mp3": "audio/mpeg", "mp4": "video/mp4", "mpd": "application/dash+xml", "mpeg": "video/mpeg", "mpg": "video/mpeg",
	"mts": "video/mp2t", "ndjson": "application/x-ndjson", "odp": "application/vnd.oasis.opendocument.presentation",
	"ods": "application/vnd.oasis.opendocument.spreadsheet", "odt": "application/vnd.oasis.opendocument.text", "oga": "audio/ogg",
	"ogg": "audio/ogg", "ogv": "video/ogg", "opus": "audio/ogg", "otf": "font/otf", "parquet": "application/vnd.apache.parquet",
	"pdf": "application/pdf", "png": "image/png", "ppt": "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", "rar": "application/vnd.rar",
	"rpm": "application/x-rpm", "rss": "application/rss+xml", "rtf": "application/rtf", "sqlite": "application/vnd.sqlite3",
	"srt": "application/x-subrip", "svg": "image/svg+xml", "tar": "application/x-tar", "tgz": "application/gzip", "tif": "image/tiff",
	"tiff": "image/tiff", "toml": "application/toml", "torrent": "application/x-bittorrent", "tsv": "text/tab-separated-values; charset=utf-8",
	"ttf": "font/ttf", "txt": "text/plain; charset=utf-8", "vtt": "text/vtt; charset=utf-8", "wasm": "application/wasm", "wav": "audio/wav",
	"weba": "audio/webm", "webm": "video/webm", "webp": "image/webp", "wmv": "video/x-ms-wmv", "woff": "font/woff", "woff2": "font/woff2",
	"xls": "application/vnd.ms-excel", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml": "text/xml; charset=utf-8", "xz": "application/x-xz", "yaml": "application/yaml", "yml": "application/yaml",
	"zip": "application/zip", "zst": "application/zstd",
}

// typeByName returns the media type that a name's extension stands for, empty
// if it is not known.
func typeByName(name string) string {
	return types[strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))]
}

// mediaType returns the media type of a file by its name, or else by the first
// bytes of its content.
func mediaType(name string, head []byte) string {
	if t := typeByName(name); t != "" {
		return t
	}
	for _, m := range magics {
		if len(head) >= m.at+len(m.bytes) && string(head[m.at:m.at+len(m.bytes)]) == m.bytes {
			return m.media
		}
	}
	if len(head) > 0 && looksLikeText(head) {
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// longestMedia is the longest media type that a file can get by its content.
const longestMedia = "application/x-7z-compressed"

// magics are what files of a kind begin with, the longer before the shorter.
var magics = []struct {
	at    int
	bytes string
	media string
}{
	{0, "\x89PNG\r\n\x1a\n", "image/png"}, {0, "GIF87a", "image/gif"}, {0, "GIF89a", "image/gif"}, {0, "\xff\xd8\xff", "image/jpeg"},
	{8, "WEBP", "image/webp"}, {4, "ftypavif", "image/avif"}, {4, "ftypheic", "image/heic"}, {4, "ftypM4A", "audio/mp4"},
	{4, "ftypqt", "video/quicktime"}, {4, "ftyp", "video/mp4"}, {0, "\x1a\x45\xdf\xa3", "video/x-matroska"}, {0, "OggS", "audio/ogg"},
	{0, "fLaC", "audio/flac"}, {0, "ID3", "audio/mpeg"}, {0, "\xff\xfb", "audio/mpeg"}, {8, "WAVE", "audio/wav"}, {8, "AVI ", "video/x-msvideo"},
	{0, "%PDF-", "application/pdf"}, {0, "PK\x03\x04", "application/zip"}, {0, "\x1f\x8b", "application/gzip"},
	{0, "\xfd7zXZ\x00", "application/x-xz"}, {0, "BZh", "application/x-bzip2"}, {0, "\x28\xb5\x2f\xfd", "application/zstd"},
	{0, "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"}, {0, "Rar!\x1a\x07", "application/vnd.rar"}, {257, "ustar", "application/x-tar"},
	{0, "\x00asm", "application/wasm"}, {0, "\x7fELF", "application/x-executable"}, {0, "SQLite format 3\x00", "application/vnd.sqlite3"},
}

// looksLikeText reports whether head is UTF-8, but for a rune that its end may
// have cut, and has no byte that text does not.
func looksLikeText(head []byte) bool {
	if len(head) == headSize {
		for range utf8.UTFMax - 1 {
			if r, n := utf8.DecodeLastRune(head); r != utf8.RuneError || n != 1 {
				break
			}
			head = head[:len(head)-1]
		}
	}
	if !utf8.Valid(head) {
		return false
	}
	return bytes.IndexFunc(head, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' && r != '\f' && r != '\x1b' || r == 0x7f
	}) < 0
}
