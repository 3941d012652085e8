package podcast

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"
	ext "github.com/mmcdole/gofeed/extensions"
)

// maxItems is how many episodes of a feed are looked at.
const maxItems = 20_000

// feedCursor is what is known of a feed that was published whole.
type feedCursor struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Sum      string `json:"sum"`
	Public   bool   `json:"public,omitempty"` // it is on the Internet, see reach
}

// feed reads a feed. No things and no error: it is as it was.
func (p *podcast) feed(ctx context.Context, from string, cursor []byte) ([]thing, []byte, error) {
	var was feedCursor
	_ = json.Unmarshal(cursor, &was) // one that is none is as if there were none
	reach, err := p.reachOf(from)
	if err != nil {
		return nil, nil, err
	}
	if was.Public {
		reach.wasPublic()
	}
	res, err := p.get(ctx, reach.feed, from, map[string]string{"If-None-Match": was.ETag, "If-Modified-Since": was.Modified})
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && was.Sum != "":
		return nil, nil, nil
	case res.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("the server says %.40s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxFeed+1))
	if err == nil && len(text) > maxFeed {
		err = fmt.Errorf("it has over %d bytes", maxFeed)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the feed: %w", err)
	}
	now := feedCursor{ETag: short(res.Header.Get("ETag")), Modified: short(res.Header.Get("Last-Modified")), Sum: hash(string(text), 64), Public: reach.isPublic()}
	after, err := json.Marshal(now)
	if err != nil {
		return nil, nil, err
	}
	if now.Sum == was.Sum {
		return nil, nil, nil
	}
	things, err := p.parse(from, res.Request.URL, text)
	return things, after, err
}

// short leaves out what is too long to be remembered.
func short(s string) string {
	if len(s) > 512 {
		return ""
	}
	return s
}

// parse reads the text of a feed that came from base. The podcast itself comes
// first, then its episodes, the oldest first.
func (p *podcast) parse(from string, base *url.URL, text []byte) (things []thing, err error) {
	defer func() {
		if r := recover(); r != nil { // a parser is no reason to be started again
			err = fmt.Errorf("reading the feed: %v", r)
		}
	}()
	p.parsing.Lock() // so that what several feeds take at once is no more
	defer p.parsing.Unlock()
	if err := bounded(text); err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	feed, err := gofeed.NewParser().Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	if len(feed.Items) == 0 {
		return nil, errors.New("the feed has no items")
	}
	if len(feed.Items) > maxItems {
		log.Printf("%.100s has %d items, the first %d are looked at", plain(from), len(feed.Items), maxItems)
		feed.Items = feed.Items[:maxItems]
	}
	r := &reading{from: from, base: base, seen: p.remember(from), ids: map[string]bool{}}
	if u, err := url.Parse(strings.TrimSpace(feed.FeedLink)); err == nil && speakable(u) == nil && feed.FeedType == "atom" {
		r.base = u
	}
	about := r.about(feed)
	var episodes []thing
	without := 0
	for _, item := range slices.Backward(feed.Items) { // usually the oldest is last: it has the id first
		if item == nil {
			continue
		}
		t, ok := r.episode(item, feed)
		if !ok {
			without++
			continue
		}
		episodes = append(episodes, t)
	}
	if without > 0 {
		log.Printf("%.100s: %d items without a file are left out", plain(from), without)
	}
	slices.SortStableFunc(episodes, func(a, b thing) int { return a.date.Compare(b.date) })
	if p.newest > 0 && len(episodes) > p.newest {
		episodes = episodes[len(episodes)-p.newest:]
	}
	return append([]thing{about}, episodes...), nil
}

// reading is one feed that is being read.
type reading struct {
	from string
	base *url.URL
	seen *seen
	ids  map[string]bool
}

// link resolves what may be a relative URL; empty: it is none that can be fetched.
func (r *reading) link(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 2048 {
		return ""
	}
	u, err := url.Parse(strings.ReplaceAll(text, " ", "%20"))
	if err != nil {
		return ""
	}
	u = r.base.ResolveReference(u)
	if speakable(u) != nil {
		return ""
	}
	u.Fragment = ""
	return u.String()
}

// shown is a URL that may be published: what stands behind its ? may be somebody's
// key to the feed.
func shown(link string) string {
	if strings.Contains(link, "?") {
		return ""
	}
	return link
}

// about is what is known of the podcast itself.
func (r *reading) about(feed *gofeed.Feed) thing {
	t := thing{id: aboutID, title: strings.TrimSpace(feed.Title), description: strings.TrimSpace(feed.Description), meta: map[string]string{}}
	set := setter(t.meta)
	set("link", shown(r.link(feed.Link)))
	set("language", feed.Language)
	set("copyright", feed.Copyright)
	set("category", strings.Join(feed.Categories, ", "))
	set("author", person(feed.Authors))
	image := ""
	if feed.Image != nil {
		image = feed.Image.URL
	}
	if it := feed.ITunesExt; it != nil {
		set("author", it.Author)
		set("explicit", it.Explicit)
		set("type", it.Type)
		image = cmp.Or(it.Image, image)
		if it.Owner != nil {
			set("owner", it.Owner.Name)
		}
		var categories []string
		for _, c := range it.Categories {
			if c == nil {
				continue
			}
			text := c.Text
			if c.Subcategory != nil {
				text += "/" + c.Subcategory.Text
			}
			categories = append(categories, text)
		}
		set("categories", strings.Join(categories, ", "))
	}
	set(metaGUID, one(feed.Extensions, "podcast", "guid").Value)
	name := "podcast-" + hash(r.from, 6)
	text, _ := json.Marshal(map[string]string{"title": clip(t.title, 500), "link": t.meta["link"]})
	t.files = []file{{name: name + ".json", handle: handle{From: r.from, Text: string(text)}, attrs: map[string]string{attrRole: roleAbout}}}
	if to := r.link(image); to != "" {
		set(metaImage, shown(to))
		t.files = append(t.files, r.optional(name, roleArtwork, to, "", ".jpg"))
	}
	return t
}

// optional is a file without which an episode can be.
func (r *reading) optional(base, role, to, mediaType, otherwise string) file {
	kind := ""
	if role == roleArtwork {
		kind = "image"
	}
	ext := end(pathOf(to), mediaType, otherwise)
	if role == roleChapters {
		ext = ".chapters" + ext
	}
	return file{name: base + ext, mediaType: mediaType, optional: true, handle: handle{From: r.from, URL: to, Kind: kind}, attrs: map[string]string{attrRole: role}}
}

func pathOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// episode reads one item; without a file of sound or pictures it is none.
func (r *reading) episode(item *gofeed.Item, feed *gofeed.Feed) (thing, bool) {
	main, to := r.enclosure(item)
	if to == "" {
		return thing{}, false
	}
	t := thing{title: strings.TrimSpace(item.Title), date: dateOf(item), meta: map[string]string{}}
	t.description = strings.TrimSpace(cmp.Or(item.Description, item.Content))
	t.id = r.id(item, t, to)
	set := setter(t.meta)
	set(metaGUID, cmp.Or(strings.TrimSpace(item.GUID), t.id))
	if !t.date.IsZero() {
		set(metaDate, t.date.UTC().Format(time.RFC3339))
	}
	set("link", shown(r.link(item.Link)))
	set("author", person(item.Authors))
	image := ""
	if item.Image != nil {
		image = item.Image.URL
	}
	if it := item.ITunesExt; it != nil {
		t.title = cmp.Or(t.title, strings.TrimSpace(it.Subtitle))
		t.description = cmp.Or(t.description, strings.TrimSpace(it.Summary))
		set("author", it.Author)
		set(metaDuration, it.Duration)
		set("subtitle", it.Subtitle)
		set("explicit", it.Explicit)
		set("episode", it.Episode)
		set("season", it.Season)
		set("episode-type", it.EpisodeType)
		image = cmp.Or(it.Image, image)
	}
	base := r.seen.base(t.id, t.title, t.date)
	kind, _, _ := strings.Cut(main.Type, "/")
	if kind != "video" {
		kind = "audio"
	}
	t.files = []file{{
		name: base + end(pathOf(to), main.Type, ".mp3"), mediaType: main.Type,
		handle: handle{From: r.from, URL: to, Size: strings.TrimSpace(main.Length), Kind: kind}, attrs: map[string]string{attrRole: roleEnclosure},
	}}
	if to := r.link(image); to != "" && (feed.ITunesExt == nil || to != r.link(feed.ITunesExt.Image)) && (feed.Image == nil || to != r.link(feed.Image.URL)) {
		set(metaImage, shown(to))
		t.files = append(t.files, r.optional(base, roleArtwork, to, "", ".jpg"))
	}
	if c := one(item.Extensions, "podcast", "chapters"); r.link(c.Attrs["url"]) != "" {
		t.files = append(t.files, r.optional(base, roleChapters, r.link(c.Attrs["url"]), c.Attrs["type"], ".json"))
	}
	if c := one(item.Extensions, "podcast", "transcript"); r.link(c.Attrs["url"]) != "" {
		if f := r.optional(base, roleTranscript, r.link(c.Attrs["url"]), c.Attrs["type"], ".txt"); f.name != t.files[0].name {
			t.files = append(t.files, f)
		}
	}
	return t, true
}

// enclosure is the file of an episode: the first that is sound or pictures.
func (r *reading) enclosure(item *gofeed.Item) (gofeed.Enclosure, string) {
	for _, e := range item.Enclosures {
		if e == nil {
			continue
		}
		to := r.link(e.URL)
		kind := cmp.Or(strings.ToLower(strings.TrimSpace(e.Type)), mediaOf(pathOf(to)))
		if to != "" && (strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") || strings.HasPrefix(mediaOf(pathOf(to)), "audio/")) {
			return gofeed.Enclosure{URL: e.URL, Length: e.Length, Type: kind}, to
		}
	}
	return gofeed.Enclosure{}, ""
}

// id is what an episode is known by. Feeds without guids have the file's address,
// and of two with one guid the newer has both.
func (r *reading) id(item *gofeed.Item, t thing, to string) string {
	id := cmp.Or(strings.TrimSpace(item.GUID), shown(to))
	if id == "" {
		plain, _, _ := strings.Cut(to, "?")
		id = plain + "#" + hash(to, 8)
	}
	if r.ids[id] || id == aboutID {
		id += "#" + hash(to, 8)
	}
	if r.ids[id] {
		id += "#" + hash(t.title+t.date.String(), 8)
	}
	r.ids[id] = true
	return id
}

// dateOf is when an episode appeared, as far as its feed says that in any way.
func dateOf(item *gofeed.Item) time.Time {
	for _, d := range []*time.Time{item.PublishedParsed, item.UpdatedParsed} {
		if d != nil && d.Unix() > 0 {
			return *d
		}
	}
	for _, text := range []string{item.Published, item.Updated} {
		text = strings.Join(strings.Fields(text), " ")
		if _, rest, ok := strings.Cut(text, ", "); ok { // the day of the week is often wrong
			text = rest
		}
		for _, form := range []string{"2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04 -0700", "2 Jan 2006", "January 2, 2006", "2006-01-02 15:04:05", "2006/01/02", "02.01.2006"} {
			if d, err := time.Parse(form, text); err == nil && d.Unix() > 0 {
				return d
			}
		}
	}
	return time.Time{}
}

// setter adds what says something, and keeps the last word.
func setter(meta map[string]string) func(key, value string) {
	return func(key, value string) {
		if value = strings.TrimSpace(value); value != "" {
			meta[key] = value
		}
	}
}

func person(list []*gofeed.Person) string {
	for _, p := range list {
		if p != nil && p.Name != "" {
			return p.Name
		}
	}
	return ""
}

// one is the first of an extension's elements.
func one(all ext.Extensions, space, name string) ext.Extension {
	if list := all[space][name]; len(list) > 0 {
		return list[0]
	}
	return ext.Extension{}
}

func clip(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
