package podcast

import (
	"net/url"
	"strings"
	"testing"
)

// A feed that would take all memory is refused before it is read.
func TestAFeedThatWouldTakeAllMemoryIsRefused(t *testing.T) {
	many := strings.Repeat
	for name, text := range map[string]string{
		"items":             "<rss><channel>" + many("<item/>", maxEntries+1),
		"entries":           "<feed>" + many("<entry/>", maxEntries+1),
		"elements":          "<rss><channel>" + many("<a:b/>", maxElements),
		"attributes":        "<rss><channel>" + many(`<a b=""c=""d=""/>`, maxElements/4),
		"depth":             "<rss><channel>" + many("<a:b>", maxDepth),
		"after some damage": "<rss><channel><item <" + many("<item/>", maxUnread),
		"in UTF-16":         "<\x00r\x00s\x00s\x00>\x00" + many("<\x00i\x00t\x00e\x00m\x00/\x00>\x00", maxEntries+1),
		"of JSON":           `{"items":[{}` + many(",{}", 4*maxEntries+4) + "]}",
		"words of JSON":     `{"items":[{"tags":[""` + many(`,""`, maxElements) + "]}]}",
		"depth of JSON":     `{"version":` + many("[", maxDepth),
		"behind white":      "\n\t {\"items\":[{}" + many(",{}", 4*maxEntries+4) + "]}",
	} {
		p := &podcast{}
		base := &url.URL{Scheme: "http", Host: "example.org"}
		if _, err := p.parse("http://example.org", base, []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "reading the feed: it") || !strings.Contains(err.Error(), "00") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A large feed of a real podcast is within the bounds.
func TestALargeFeedIsRead(t *testing.T) {
	item := "<item><title>Ünï</title><guid>a</guid><pubDate>b</pubDate><description><![CDATA[" + strings.Repeat("<p>x<br>", 20) + "]]></description>" +
		strings.Repeat("<itunes:x/>", 12) + `<enclosure url="a" length="1" type="audio/mpeg"/></item>`
	text := "<?xml version='1.0' encoding='iso-8859-1'?><rss><channel><br>" + strings.Repeat(item, 4_000) + "</channel></rss>"
	if err := bounded([]byte(text)); err != nil {
		t.Error(err)
	}
	text = `{"items":[{}` + strings.Repeat(`,{"id":"a","title":"b","authors":[{"name":"c"}],"attachments":[{"url":"u","mime_type":"audio/mpeg"}]}`, 4_000) + "]}"
	if err := bounded([]byte(text)); err != nil {
		t.Error(err)
	}
}
