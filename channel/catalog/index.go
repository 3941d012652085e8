package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/internal/lookalike"
	"github.com/anonymous-media-library/aml/internal/words"
)

// The index of search is written in the transaction that changes what it is
// about, and so is never ahead nor behind.

// maxIndexed is how many bytes of an entry's attributes are indexed, and of a
// release's metadata: a name is what a file is found by.
const maxIndexed = 4 << 10

// seenWords are words that are known to be in the table of words: most of a
// release's are. It is emptied when a transaction fails, since they may not be.
type seenWords map[string]struct{}

const maxSeenWords = 1 << 16

// document is what is indexed of one row.
type document struct {
	name, text []string // words
	scope      string
}

func channelDocument(root *channel.Root) document {
	names, _ := root.PublisherNames()
	return document{name: words.Indexed(root.Title), text: words.Indexed(strings.Join(append(names, root.Topics...), "\n"))}
}

func entryDocument(e *channel.FileEntry) document {
	return document{name: words.Indexed(e.Name), text: words.Indexed(pairsText(e.Attrs)), scope: typeScope(e.MediaType)}
}

// releaseText is what a release says beside its title.
func releaseText(body *channel.Body) string {
	return strings.TrimSpace(body.Description + "\n" + pairsText(body.Metadata))
}

// pairsText is what attributes or metadata say: the values by order of their
// keys, and nothing of what would make it too long.
func pairsText(pairs map[string]string) string {
	if len(pairs) == 0 {
		return ""
	}
	keys := make([]string, 0, len(pairs))
	for k := range pairs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		if v := pairs[k]; b.Len()+len(v) <= maxIndexed {
			b.WriteString(v)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// typeScope is how a media type can be asked for: by its first part, and whole.
func typeScope(mediaType string) string {
	whole, _, _ := strings.Cut(mediaType, ";")
	first, _, ok := strings.Cut(whole, "/")
	if !ok {
		return ""
	}
	return "t" + scopeWord(first) + " t" + scopeWord(whole)
}

// scopeWord keeps of a media type what FTS5 takes for one word. Types that then
// fall together are told apart when the row is read.
func scopeWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return 'z'
	}, s)
}

func channelScope(no int64) string { return "c" + strconv.FormatInt(no, 36) }

const (
	putFoundChannel = "INSERT OR REPLACE INTO found_channels (rowid, name, text, scope) VALUES (?, ?, ?, ?)"
	putFoundRelease = "INSERT OR REPLACE INTO found_releases (rowid, name, text, scope) VALUES (?, ?, ?, ?)"
	putFoundEntry   = "INSERT OR REPLACE INTO found_entries (rowid, name, text, scope) VALUES (?, ?, ?, ?)"
)

// indexChannel makes a channel found by its newest root's title, topics and names
// of publishers.
func (t *tx) indexChannel(no int64, root *channel.Root) error {
	if _, err := t.exec("UPDATE channels SET skeleton = ? WHERE no = ?", skeleton(root), no); err != nil {
		return err
	}
	return t.index(putFoundChannel, no, no, channelDocument(root))
}

// skeleton is that of a root's title, NULL where the title does not set it apart:
// without one a channel is called by its topic, as others are.
func skeleton(root *channel.Root) any {
	s := lookalike.Skeleton(root.Title)
	for _, topic := range root.Topics {
		if s == lookalike.Skeleton(topic) {
			return nil
		}
	}
	if s == "" {
		return nil
	}
	return s
}

// indexRelease makes a release found by what it says of itself.
func (t *tx) indexRelease(channelNo, position int64, m *channel.Manifest, body *channel.Body) error {
	text := releaseText(body)
	if body.Title == "" && text == "" {
		return nil
	}
	if _, err := t.exec(`INSERT INTO releases (position, channel, issued, log, seq, title, text) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (position) DO UPDATE SET title = excluded.title, text = excluded.text`,
		position, channelNo, int64(m.Issued), m.Log[:], int64(m.Seq), body.Title, text); err != nil {
		return err
	}
	return t.index(putFoundRelease, channelNo, position, document{name: words.Indexed(body.Title), text: words.Indexed(text)})
}

func (t *tx) indexEntry(channelNo, no int64, e *channel.FileEntry) error {
	return t.index(putFoundEntry, channelNo, no, entryDocument(e))
}

func (t *tx) unindexEntry(no int64) error {
	_, err := t.exec("DELETE FROM found_entries WHERE rowid = ?", no)
	return err
}

func (t *tx) index(text string, channelNo, no int64, d document) error {
	if err := t.addWords(d.name); err != nil {
		return err
	}
	if err := t.addWords(d.text); err != nil {
		return err
	}
	_, err := t.exec(text, no, strings.Join(d.name, " "), strings.Join(d.text, " "), channelScope(channelNo)+" "+d.scope)
	return err
}

func (t *tx) addWords(all []string) error {
	for _, w := range all {
		if _, ok := t.c.words[w]; ok {
			continue
		}
		if _, err := t.exec("INSERT INTO words (word) VALUES (?) ON CONFLICT DO NOTHING", w); err != nil {
			return err
		}
		if len(t.c.words) >= maxSeenWords {
			clear(t.c.words)
		}
		t.c.words[w] = struct{}{}
	}
	return nil
}

// fillBatch is how many rows one transaction of fill indexes.
const fillBatch = 2000

// fill indexes what a program without an index left in the file. It goes on where
// one before it was stopped.
func (c *Catalog) fill(ctx context.Context) error {
	for {
		done := false
		err := c.update(ctx, "indexing the catalogue for search", func(t *tx) (err error) {
			done, err = t.fillSome(fillBatch)
			return err
		})
		if err != nil || done {
			return err
		}
	}
}

// fillSome indexes up to most rows, and reports whether there were none.
func (t *tx) fillSome(most int) (done bool, err error) {
	type span struct {
		what       string
		next, last int64
	}
	var todo []span
	err = t.each(func(scan func(...any) error) (bool, error) {
		var s span
		err := scan(&s.what, &s.next, &s.last)
		todo = append(todo, s)
		return true, err
	}, "SELECT what, next, last FROM unindexed")
	if err != nil || len(todo) == 0 {
		return err == nil, err
	}
	// Channels come first: who waits sees most of what there is soonest.
	s := slices.MinFunc(todo, func(a, b span) int { return cmp.Compare(a.what, b.what) })
	var last int64
	switch s.what {
	case "channels":
		last, err = t.fillChannels(s.next, s.last, most)
	case "releases":
		last, err = t.fillReleases(s.next, s.last, most)
	case "entries":
		last, err = t.fillEntries(s.next, s.last, most)
	default:
		err = fmt.Errorf("%w: %q is not indexed", errDamaged, s.what)
	}
	if err != nil {
		return false, err
	}
	if last == 0 {
		_, err = t.exec("DELETE FROM unindexed WHERE what = ?", s.what)
	} else {
		_, err = t.exec("UPDATE unindexed SET next = ? WHERE what = ?", last+1, s.what)
	}
	return false, err
}

// The functions that fill return the number of the last row that they read, 0 if
// there was none.

func (t *tx) fillChannels(next, last int64, most int) (at int64, err error) {
	type row struct {
		no   int64
		root channel.Root
	}
	var rows []row
	err = t.each(func(scan func(...any) error) (bool, error) {
		var r row
		var envelope []byte
		err := scan(&r.no, &envelope)
		if err == nil {
			r.root, _, err = storedRoot(envelope)
		}
		rows = append(rows, r)
		return true, err
	}, `SELECT no, envelope FROM channels c JOIN roots r ON r.channel = c.no AND r.version = c.version
		WHERE no BETWEEN ? AND ? ORDER BY no LIMIT ?`, next, last, most)
	for i := range rows {
		if err == nil {
			at, err = rows[i].no, t.indexChannel(rows[i].no, &rows[i].root)
		}
	}
	return at, err
}

func (t *tx) fillReleases(next, last int64, most int) (at int64, err error) {
	type row struct {
		channel int64
		Release
	}
	var rows []row
	size := 0
	err = t.each(func(scan func(...any) error) (bool, error) {
		var r row
		var envelope, body []byte
		err := scan(&r.Position, &r.channel, (*bytes32)(&r.Hash), &envelope, &body)
		if err == nil {
			err = r.decode(envelope, body)
		}
		rows = append(rows, r)
		size += len(envelope) + len(body)
		return size < releaseBytes, err
	}, `SELECT position, channel, hash, envelope, body FROM manifests
		WHERE position BETWEEN ? AND ? AND state <> 2 ORDER BY position LIMIT ?`, next, last, most)
	for i := range rows {
		if err != nil {
			break
		}
		r := &rows[i]
		if at = r.Position; r.Body != nil {
			err = t.indexRelease(r.channel, r.Position, &r.Manifest, r.Body)
		}
	}
	return at, err
}

func (t *tx) fillEntries(next, last int64, most int) (at int64, err error) {
	type row struct {
		no, channel int64
		entry       channel.FileEntry
	}
	var rows []row
	err = t.each(func(scan func(...any) error) (bool, error) {
		var r row
		var data []byte
		err := scan(&r.no, &r.channel, &data)
		if err == nil {
			err = dcbor.Unmarshal(data, &r.entry)
		}
		if err != nil {
			err = errors.Join(errDamaged, err)
		}
		rows = append(rows, r)
		return true, err
	}, `SELECT no, channel, entry FROM entries
		WHERE no BETWEEN ? AND ? AND NOT removed ORDER BY no LIMIT ?`, next, last, most)
	for i := range rows {
		if err == nil {
			at, err = rows[i].no, t.indexEntry(rows[i].channel, rows[i].no, &rows[i].entry)
		}
	}
	return at, err
}
