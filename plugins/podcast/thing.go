package podcast

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// Metadata of an episode's release, and of that of the podcast itself, beside
// those that a feed has by the same names.
const (
	metaGUID     = "guid"
	metaDate     = "date" // RFC 3339
	metaImage    = "image"
	metaDuration = "duration" // as in the feed: seconds, or with colons
)

// What a file is for, in its attr "role".
const (
	attrRole       = "role"
	roleEnclosure  = "enclosure"
	roleArtwork    = "artwork"
	roleChapters   = "chapters"
	roleTranscript = "transcript"
	roleAbout      = "about" // the podcast itself
)

// aboutID is the id of the podcast itself among its episodes.
const aboutID = "aml:podcast"

// thing is an episode, or what is to be known of the podcast.
type thing struct {
	id          string
	title       string
	description string
	meta        map[string]string
	date        time.Time // zero: not known
	files       []file
	gone        bool
}

type file struct {
	name, mediaType string
	handle          handle
	attrs           map[string]string
	optional        bool
}

// item is the thing in the words of the protocol.
func (t thing) item() *sdk.Item {
	item := &sdk.Item{Id: t.id, Title: t.title, Description: t.description, Metadata: t.meta, Removed: t.gone}
	if !t.date.IsZero() {
		item.Date = t.date.Unix()
	}
	for _, f := range t.files {
		item.Files = append(item.Files, &sdk.ItemFile{Name: f.name, MediaType: f.mediaType, Handle: f.handle.String(), Attrs: f.attrs, Optional: f.optional})
	}
	item.Version = t.version()
	return item
}

// version is another one when anything of it is.
func (t thing) version() string {
	parts := []any{t.title, t.description, t.meta, t.date.Unix()}
	for _, f := range t.files {
		parts = append(parts, f.name, f.handle, f.attrs)
	}
	text, _ := json.Marshal(parts) // strings and numbers
	return hash(string(text), 16)
}

// hash is a short name of a text.
func hash(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:digits]
}

// maxSlug bounds the readable part of a name, in bytes.
const maxSlug = 80

// baseName is what the files of an episode are called, but for their ends: readable
// and different for each.
func baseName(id, title string, date time.Time) string {
	var b strings.Builder
	if date.Unix() > 0 {
		b.WriteString(date.UTC().Format(time.DateOnly) + "-")
	}
	start, dash := b.Len(), false
	for _, r := range strings.ToLower(title) {
		switch {
		case b.Len() > maxSlug:
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if dash && b.Len() > start {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			dash = false
		default:
			dash = true
		}
	}
	if b.Len() > start {
		b.WriteByte('-')
	}
	b.WriteString(hash(id, 8))
	return b.String()
}

// ends are the media types of podcasts and how their files end.
func ends() map[string]string {
	return map[string]string{
		"audio/mpeg": ".mp3", "audio/mp3": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/m4a": ".m4a", "audio/aac": ".aac",
		"audio/ogg": ".ogg", "audio/opus": ".opus", "audio/flac": ".flac", "audio/x-flac": ".flac", "audio/wav": ".wav", "audio/x-wav": ".wav",
		"video/mp4": ".mp4", "video/x-m4v": ".m4v", "video/quicktime": ".mov", "video/webm": ".webm", "audio/webm": ".webm",
		"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif",
		"application/json": ".json", "application/json+chapters": ".json", "application/x-subrip": ".srt", "application/srt": ".srt", "text/vtt": ".vtt", "text/html": ".html", "text/plain": ".txt",
	}
}

// end is how a file's name ends: as its path in the feed does if that is one of
// those above, else by its type.
func end(urlPath, mediaType, otherwise string) string {
	ext := strings.ToLower(path.Ext(urlPath))
	for _, known := range ends() {
		if ext == known || ext == ".jpeg" {
			return ext
		}
	}
	mediaType, _, _ = strings.Cut(strings.ToLower(mediaType), ";")
	if ext := ends()[strings.TrimSpace(mediaType)]; ext != "" {
		return ext
	}
	return otherwise
}

// mediaOf is the type of a file of that name.
func mediaOf(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if ext == ".jpeg" {
		ext = ".jpg"
	}
	best := ""
	for media, known := range ends() {
		if known == ext && (best == "" || len(media) < len(best) || len(media) == len(best) && media < best) {
			best = media
		}
	}
	switch ext {
	case ".mp3":
		return "audio/mpeg"
	case ".m4a":
		return "audio/mp4"
	case ".json":
		return "application/json"
	}
	return best
}
