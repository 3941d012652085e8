package podcast

import (
	"cmp"
	"context"
	"encoding/xml"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"crypto/sha1" // of RFC 4122, which names things and protects nothing
	"encoding/hex"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// The document, with the prefixes that podcast clients know.
type (
	rssDoc struct {
		XMLName xml.Name   `xml:"rss"`
		Version string     `xml:"version,attr"`
		ITunes  string     `xml:"xmlns:itunes,attr"`
		Podcast string     `xml:"xmlns:podcast,attr"`
		Content string     `xml:"xmlns:content,attr"`
		Channel rssChannel `xml:"channel"`
	}
	rssChannel struct {
		Title       string       `xml:"title"`
		Link        string       `xml:"link"`
		Description string       `xml:"description"`
		Language    string       `xml:"language,omitempty"`
		Copyright   string       `xml:"copyright,omitempty"`
		LastBuild   string       `xml:"lastBuildDate,omitempty"`
		Generator   string       `xml:"generator"`
		Image       *rssImage    `xml:"image"`
		Author      string       `xml:"itunes:author,omitempty"`
		Type        string       `xml:"itunes:type,omitempty"`
		Explicit    string       `xml:"itunes:explicit"`
		Artwork     *href        `xml:"itunes:image"`
		Categories  []rssCat     `xml:"itunes:category"`
		GUID        string       `xml:"podcast:guid"`
		Medium      string       `xml:"podcast:medium"`
		Address     rssTxt       `xml:"podcast:txt"`
		Items       []rssEpisode `xml:"item"`
	}
	rssImage struct {
		URL   string `xml:"url"`
		Title string `xml:"title"`
		Link  string `xml:"link"`
	}
	rssCat struct {
		Text string   `xml:"text,attr"`
		Sub  []rssCat `xml:"itunes:category"`
	}
	rssTxt struct {
		Purpose string `xml:"purpose,attr"`
		Text    string `xml:",chardata"`
	}
	href struct {
		To string `xml:"href,attr"`
	}
	rssEpisode struct {
		Title       string       `xml:"title"`
		Link        string       `xml:"link,omitempty"`
		Description string       `xml:"description,omitempty"`
		GUID        rssGUID      `xml:"guid"`
		Date        string       `xml:"pubDate,omitempty"`
		Enclosure   rssEnclosure `xml:"enclosure"`
		Author      string       `xml:"itunes:author,omitempty"`
		Subtitle    string       `xml:"itunes:subtitle,omitempty"`
		Duration    string       `xml:"itunes:duration,omitempty"`
		Explicit    string       `xml:"itunes:explicit,omitempty"`
		Season      string       `xml:"itunes:season,omitempty"`
		Episode     string       `xml:"itunes:episode,omitempty"`
		Type        string       `xml:"itunes:episodeType,omitempty"`
		Artwork     *href        `xml:"itunes:image"`
		Chapters    *rssLink     `xml:"podcast:chapters"`
		Transcript  *rssLink     `xml:"podcast:transcript"`

		when time.Time
	}
	rssGUID struct {
		PermaLink string `xml:"isPermaLink,attr"`
		Text      string `xml:",chardata"`
	}
	rssEnclosure struct {
		URL    string `xml:"url,attr"`
		Length uint64 `xml:"length,attr"`
		Type   string `xml:"type,attr"`
	}
	rssLink struct {
		URL  string `xml:"url,attr"`
		Type string `xml:"type,attr"`
	}
)

// render writes the feed of a channel: of one that Source has filled, and of any
// other in which there is sound or video.
func render(_ context.Context, start *sdk.RenderStart, releases iter.Seq2[*sdk.Release, error], w io.Writer) (string, error) {
	address := "aml://" + start.Channel
	base := cmp.Or(strings.TrimSuffix(start.BaseUrl, "/"), address) + "/"
	doc := rssDoc{
		Version: "2.0", ITunes: "http://www.itunes.com/dtds/podcast-1.0.dtd", Podcast: "https://podcastindex.org/namespace/1.0",
		Content: "http://purl.org/rss/1.0/modules/content/",
		Channel: rssChannel{
			Title: cmp.Or(start.Title, address), Link: cmp.Or(start.BaseUrl, address), Generator: "aml", Explicit: "false",
			GUID: nameUUID(address), Medium: "podcast", Address: rssTxt{"aml", address},
		},
	}
	c, about := &doc.Channel, false
	for r, err := range releases {
		if err != nil {
			return "", err
		}
		files := byRole(r)
		if files[roleAbout] != nil && !about { // the newest
			c.describe(r, files, base)
			about = true
		}
		for _, e := range r.Entries {
			if ep, ok := episodeOf(r, e, files, base); ok {
				c.Items = append(c.Items, ep)
			}
		}
	}
	c.Description = cmp.Or(c.Description, c.Title)
	slices.SortStableFunc(c.Items, func(a, b rssEpisode) int { return b.when.Compare(a.when) })
	if len(c.Items) > 0 && !c.Items[0].when.IsZero() {
		c.LastBuild = c.Items[0].when.UTC().Format(time.RFC1123Z)
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

// describe takes in what the podcast says of itself.
func (c *rssChannel) describe(r *sdk.Release, files map[string]*sdk.Entry, base string) {
	m := r.Metadata
	c.Title, c.Description = cmp.Or(r.Title, c.Title), r.Description
	c.Link, c.Language, c.Copyright = cmp.Or(m["link"], c.Link), m["language"], m["copyright"]
	c.Author, c.Type, c.Explicit = m["author"], m["type"], explicit(m["explicit"])
	c.GUID = cmp.Or(m[metaGUID], c.GUID)
	image := m[metaImage]
	if e := files[roleArtwork]; e != nil {
		image = below(base, e.Name)
	}
	if image != "" {
		c.Artwork, c.Image = &href{image}, &rssImage{image, c.Title, c.Link}
	}
	for text := range strings.SplitSeq(m["categories"], ", ") {
		if text == "" {
			continue
		}
		top, sub, _ := strings.Cut(text, "/")
		cat := rssCat{Text: top}
		if sub != "" {
			cat.Sub = []rssCat{{Text: sub}}
		}
		c.Categories = append(c.Categories, cat)
	}
}

// byRole are the files of a release that say what they are for.
func byRole(r *sdk.Release) map[string]*sdk.Entry {
	out := map[string]*sdk.Entry{}
	for _, e := range r.Entries {
		if role := e.Attrs[attrRole]; role != "" && out[role] == nil {
			out[role] = e
		}
	}
	return out
}

// episodeOf is an episode for a file that is one.
func episodeOf(r *sdk.Release, e *sdk.Entry, files map[string]*sdk.Entry, base string) (rssEpisode, bool) {
	media := e.MediaType
	if !playable(media) {
		media = mediaOf(e.Name)
	}
	role := e.Attrs[attrRole]
	if role != roleEnclosure && (role != "" || !playable(media)) {
		return rssEpisode{}, false
	}
	m := r.Metadata
	ep := rssEpisode{
		Title: r.Title, Description: r.Description, Link: m["link"], Author: m["author"], Subtitle: m["subtitle"], Duration: m[metaDuration],
		Season: m["season"], Episode: m["episode"], Type: m["episode-type"],
		Enclosure: rssEnclosure{below(base, e.Name), e.Size, media}, GUID: rssGUID{"false", m[metaGUID]}, when: time.Unix(r.Issued, 0),
	}
	if m["explicit"] != "" {
		ep.Explicit = explicit(m["explicit"])
	}
	if d, err := time.Parse(time.RFC3339, m[metaDate]); err == nil {
		ep.when = d
	}
	if role != roleEnclosure { // a release of several files is several episodes
		ep.GUID.Text = hex.EncodeToString(e.Sha256)
		ep.Title = cmp.Or(e.Attrs["title"], ep.Title, e.Name)
		ep.Duration = cmp.Or(e.Attrs[metaDuration], ep.Duration)
		if n := len(r.Entries); n > 1 && e.Attrs["title"] == "" {
			ep.Title = e.Name
		}
	}
	if ep.GUID.Text == "" {
		ep.GUID.Text = hex.EncodeToString(e.Sha256)
	}
	ep.Date = ep.when.UTC().Format(time.RFC1123Z)
	if a := files[roleArtwork]; a != nil {
		ep.Artwork = &href{below(base, a.Name)}
	} else if m[metaImage] != "" {
		ep.Artwork = &href{m[metaImage]}
	}
	if c := files[roleChapters]; c != nil {
		ep.Chapters = &rssLink{below(base, c.Name), "application/json+chapters"}
	}
	if c := files[roleTranscript]; c != nil {
		ep.Transcript = &rssLink{below(base, c.Name), cmp.Or(mediaOf(c.Name), "text/plain")}
	}
	return ep, true
}

func playable(media string) bool {
	return strings.HasPrefix(media, "audio/") || strings.HasPrefix(media, "video/")
}

func explicit(text string) string {
	yes, err := strconv.ParseBool(strings.ToLower(text))
	return strconv.FormatBool(err == nil && yes || strings.EqualFold(text, "yes") || strings.EqualFold(text, "explicit"))
}

// below is the address of a file.
func below(base, name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return base + strings.Join(parts, "/")
}

// nameUUID is a podcast's guid, by the rules of podcast:guid: a UUID of version 5.
func nameUUID(name string) string {
	h := sha1.New()
	space, _ := hex.DecodeString("ead4c236bf5858c6a2c6a6b28d128cb6")
	h.Write(space)
	h.Write([]byte(name))
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	s := hex.EncodeToString(u)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
