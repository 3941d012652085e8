package updates

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/updates"
)

// The appcast of Sparkle (sparkle-project.org/documentation/publishing).
type (
	castDoc struct {
		XMLName xml.Name    `xml:"rss"`
		Version string      `xml:"version,attr"`
		Sparkle string      `xml:"xmlns:sparkle,attr"`
		Channel castChannel `xml:"channel"`
	}
	castChannel struct {
		Title string     `xml:"title"`
		Link  string     `xml:"link"`
		Items []castItem `xml:"item"`
	}
	castItem struct {
		Title     string        `xml:"title"`
		Date      string        `xml:"pubDate"`
		Channel   string        `xml:"sparkle:channel,omitempty"`
		Version   string        `xml:"sparkle:version"`
		Short     string        `xml:"sparkle:shortVersionString"`
		Notes     castNotes     `xml:"description"`
		Enclosure castEnclosure `xml:"enclosure"`
	}
	castNotes struct {
		Format string `xml:"sparkle:format,attr"`
		Text   string `xml:",chardata"`
	}
	castEnclosure struct {
		URL       string `xml:"url,attr"`
		Length    uint64 `xml:"length,attr"`
		Type      string `xml:"type,attr"`
		OS        string `xml:"sparkle:os,attr,omitempty"`
		Signature string `xml:"sparkle:edSignature,attr,omitempty"`
	}
)

// systems are what Sparkle and its relatives call them.
var systems = map[string]string{"darwin": "macos", "windows": "windows", "linux": "linux"}

// appcast writes all versions that everybody is to have: an appcast cannot say who is
// among some percent of installations.
func appcast(w io.Writer, start *sdk.RenderStart, all []updates.Release) (string, error) {
	if start.BaseUrl == "" {
		return "", errors.New("an appcast names files by URL: give --base-url")
	}
	doc := castDoc{Version: "2.0", Sparkle: "http://www.andymatuschak.org/xml-namespaces/sparkle",
		Channel: castChannel{Title: cmp.Or(start.Title, "aml://"+start.Channel), Link: start.BaseUrl}}
	for _, r := range all {
		if r.Rollout < 100 {
			continue
		}
		track := r.Track
		if track == updates.Stable {
			track = ""
		}
		for _, b := range r.Builds {
			system, _, _ := strings.Cut(b.Platform, "/")
			doc.Channel.Items = append(doc.Channel.Items, castItem{
				Title: cmp.Or(r.Title, r.Version), Date: time.Unix(int64(r.Issued), 0).UTC().Format(time.RFC1123Z),
				Channel: track, Version: r.Version, Short: r.Version, Notes: castNotes{"plain-text", r.Notes},
				Enclosure: castEnclosure{below(start.BaseUrl, b.Entry.Name), b.Entry.Size, "application/octet-stream", systems[system], b.Entry.Attrs[attrSignature]},
			})
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return "", err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(doc); err != nil {
		return "", err
	}
	return "application/rss+xml", e.Close()
}

// below is the address of a file of the channel.
func below(base, name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.TrimSuffix(base, "/") + "/" + strings.Join(parts, "/")
}
