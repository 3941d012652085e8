package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/internal/words"
)

// The bounds of a search. What they cost is measured by BenchmarkMillion.
const (
	// MaxQuery is the longest query, in bytes.
	MaxQuery = 512

	// MaxHits is how many hits one search gives at most.
	MaxHits = 500

	// candidates is how many rows of each kind are ranked, the newest first, and
	// as many again of those where the name says it all, should there be more and
	// few such among the first.
	// FTS5's own bm25() would read every place where a word stands before it
	// ranks the first row: seconds, for a word that is in every name.
	candidates = 200

	// scanned is how many matches are looked at for those that pass the filters.
	scanned = 5_000

	// completions is how many words the last word of a query may stand for: the
	// shortest of those that begin with it, among the first completed.
	completions = 12
	completed   = 4096

	// counted is how far the rows are counted in which a word stands.
	counted = 1000

	// A word is dense where it stands in more than one of sparse of the newest
	// rows; then at most leanly rows are read in which the other words stand, to
	// find candidates.
	sparse = 2
	leanly = 4 * candidates

	// scopes is how many channels the index itself tells apart.
	scopes = 64

	defaultHits = 20
	snippetSize = 160
)

// ErrQuery: a search for nothing, or for too much.
var ErrQuery = errors.New("not a query")

// HitKind says what was found.
type HitKind string

// The kinds of hits.
const (
	HitChannel HitKind = "channel"
	HitRelease HitKind = "release"
	HitFile    HitKind = "file"
)

// Search is what to look for. All filters have to pass.
type Search struct {
	Query   string     // see words.Parse
	Channel channel.ID // if not zero: in this channel
	Topic   string     // if not empty: in channels on this topic or below it
	Type    string     // if not empty: files of this media type, or of its first part ("audio")
	MinSize uint64     // files of at least so many bytes
	MaxSize uint64     // and of at most so many; if zero, of any
	Since   time.Time  // if not zero: what was issued since
	Limit   int        // if zero, 20; at most MaxHits

	plain bool // look every word up in the index: what tests compare with
}

func (f *Search) validate() (words.Query, error) {
	if len(f.Query) > MaxQuery || !utf8.ValidString(f.Query) {
		return words.Query{}, fmt.Errorf("%w: %d bytes, at most %d of UTF-8 are allowed", ErrQuery, len(f.Query), MaxQuery)
	}
	q := words.Parse(f.Query)
	if q.Empty() {
		return q, fmt.Errorf("%w: no letter or digit in it", ErrQuery)
	}
	if f.Limit < 0 || f.Limit > MaxHits {
		return q, fmt.Errorf("%w: %d hits, at most %d are given", ErrQuery, f.Limit, MaxHits)
	}
	if f.Limit == 0 {
		f.Limit = defaultHits
	}
	if f.MaxSize == 0 {
		f.MaxSize = math.MaxInt64
	}
	return q, nil
}

// files reports whether only files can pass the filters.
func (f *Search) files() bool { return f.Type != "" || f.MinSize > 0 || f.MaxSize < math.MaxInt64 }

// Hit is something that was found.
type Hit struct {
	Kind    HitKind
	Channel channel.ID
	Title   string // of the channel
	Reason  Reason
	Looks   LookAlike  // what the channel looks like
	Alike   [][]string // names of its publishers, where it was found by them: see channel.Root.AlikeNames

	Name     string // of the file; the title of a release
	Snippet  string // of what else is said, where that is why it was found
	Issued   channel.Time
	Log      channel.PublicKey // of the release, also of a file's
	Seq      uint64
	Position int64
	Entry    channel.FileEntry // of a file

	score float64
	no    int64 // of the channel
}

// Found is the result of a search.
type Found struct {
	Hits []Hit // the best first
	More bool  // there are others
}

// Search finds channels, releases and live files in which all words of the query
// stand, the best first: rare words and words in names count for more. It reads
// the catalogue alone.
func (c *Catalog) Search(ctx context.Context, f Search) (Found, error) {
	q, err := f.validate()
	if err != nil {
		return Found{}, fmt.Errorf("searching: %w", err)
	}
	var out Found
	err = c.view(ctx, "searching", func(s *session) error {
		r := &search{session: s, f: f, ranking: newRanking(q)}
		err := r.run(q)
		out = r.found
		return err
	})
	return out, err
}

// search is one search that is under way.
type search struct {
	*session
	ranking
	f     Search
	found Found

	within string // JSON array of the channels' numbers; empty for all
	scope  string // what the index has to say about them, and the media type
	scoped bool   // it says all about the channels
	seen   map[int64]bool
}

func (r *search) run(q words.Query) error {
	if err := r.weigh(r.session, q); err != nil {
		return err
	}
	if ok, err := r.limit(); err != nil || !ok {
		return err
	}
	type kind struct {
		table         int
		find          func(match match) (more bool, err error)
		scope, within string
	}
	inside := r.within
	if r.scoped {
		inside = ""
	}
	kinds := []kind{{inEntries, r.entries, r.scope, inside}}
	if !r.f.files() {
		kinds = append(kinds, kind{inReleases, r.releases, r.scope, inside}, kind{inChannels, r.channels, "", r.within})
	}
	for _, k := range kinds {
		r.seen, r.within = make(map[int64]bool), k.within
		before := len(r.found.Hits)
		more, err := k.find(r.match(k.table, "name text", k.scope))
		r.found.More = r.found.More || more
		if err == nil && more && !r.enoughNames(r.found.Hits[before:]) {
			_, err = k.find(r.match(k.table, "name", k.scope))
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(r.found.Hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Issued, a.Issued), a.Channel.Compare(b.Channel), cmp.Compare(a.Name, b.Name), cmp.Compare(b.Position, a.Position))
	})
	if len(r.found.Hits) > r.f.Limit {
		r.found.Hits, r.found.More = r.found.Hits[:r.f.Limit:r.f.Limit], true
	}
	for i := range r.found.Hits {
		if err := r.complete(&r.found.Hits[i]); err != nil {
			return err
		}
	}
	return nil
}

// enoughNames reports whether most hits have all words in their names: then there
// is no need to look for such.
func (r *search) enoughNames(hits []Hit) bool {
	n := 0
	for i := range hits {
		name := hits[i].Name
		if hits[i].Kind == HitChannel {
			return true // all that it is found by is a name
		}
		if r.allIn(words.Indexed(name)) {
			n++
		}
	}
	return n >= len(hits)/2
}

// limit works out the filters on channels. It reports false where nothing can
// pass.
func (r *search) limit() (bool, error) {
	var parts []string
	if r.f.Type != "" {
		parts = append(parts, `scope : "t`+scopeWord(r.f.Type)+`"`)
	}
	if !r.f.Channel.IsZero() || r.f.Topic != "" {
		all, filled, err := r.numbers()
		if err != nil || len(all) == 0 {
			return false, err
		}
		if len(filled) <= scopes {
			tokens := []string{quote(channelScope(0))} // nothing's, where there are none
			for _, no := range filled {
				tokens = append(tokens, quote(channelScope(no)))
			}
			parts = append(parts, "scope : ("+strings.Join(tokens, " OR ")+")")
			r.scoped = true
		}
		list, err := json.Marshal(all)
		if err != nil {
			return false, err
		}
		r.within = string(list)
	}
	r.scope = strings.Join(parts, " AND ")
	return true, nil
}

// numbers are those of the channels that the filters let pass, and of those among
// them of which there is more than what listings say.
func (r *search) numbers() (all, filled []int64, err error) {
	take := func(scan func(...any) error) (bool, error) {
		var no int64
		var full bool
		err := scan(&no, &full)
		if all = append(all, no); full {
			filled = append(filled, no)
		}
		return true, err
	}
	id, below := r.f.Channel, r.f.Topic+"/"
	const columns = "SELECT no, reason > 1 OR entries > 0 FROM channels WHERE "
	const onTopic = "no IN (SELECT channel FROM topics WHERE topic = ? OR topic >= ? AND topic < ?)"
	switch {
	case r.f.Topic == "":
		err = r.each(take, columns+"id = ?", id[:])
	case id.IsZero():
		err = r.each(take, columns+onTopic, r.f.Topic, below, after(below))
	default:
		err = r.each(take, columns+"id = ? AND "+onTopic, id[:], r.f.Topic, below, after(below))
	}
	return all, filled, err
}

// after is the first text that does not begin with prefix and comes after all
// that do. prefix does not end with the last character there is.
func after(prefix string) string {
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

// filtered reports whether there is a filter that the index knows nothing of.
func (r *search) filtered() bool {
	return r.within != "" || r.f.MinSize > 0 || r.f.MaxSize < math.MaxInt64 || !r.f.Since.IsZero()
}

func (r *search) since() int64 {
	if r.f.Since.IsZero() {
		return math.MinInt64
	}
	return r.f.Since.Unix()
}

var (
	findEntries = newFinding(`SELECT e.no, e.channel, e.name, e.issued, e.log, e.seq, e.position, e.entry
		FROM (SELECT rowid AS no FROM found_entries WHERE found_entries MATCH ?1 ORDER BY rowid DESC LIMIT $looked) f
		CROSS JOIN entries e ON e.no = f.no
		WHERE e.issued >= ?3 AND e.size BETWEEN ?4 AND ?5 AND $within ORDER BY f.no DESC`, "e.channel")
	findReleases = newFinding(`SELECT m.position, m.channel, m.issued, m.log, m.seq, m.title, m.text
		FROM (SELECT rowid AS no FROM found_releases WHERE found_releases MATCH ?1 ORDER BY rowid DESC LIMIT $looked) f
		CROSS JOIN releases m ON m.position = f.no
		WHERE m.issued >= ?3 AND $within ORDER BY f.no DESC`, "m.channel")
	findChannels = newFinding(`SELECT c.no, c.title, (SELECT max(issued) FROM logs l WHERE l.channel = c.no),
			(SELECT group_concat(topic, ' ') FROM topics t WHERE t.channel = c.no),
			(SELECT envelope FROM roots v WHERE v.channel = c.no AND v.version = c.version)
		FROM (SELECT rowid AS no FROM found_channels WHERE found_channels MATCH ?1 ORDER BY rowid DESC LIMIT $looked) f
		CROSS JOIN channels c ON c.no = f.no WHERE $within ORDER BY f.no DESC`, "c.no")
)

func (r *search) entries(m match) (bool, error) {
	return r.all(findEntries, m, func(scan func(...any) error) (bool, error) {
		h := Hit{Kind: HitFile}
		var no int64
		var data []byte
		if err := scan(&no, &h.no, &h.Name, &h.Issued, (*bytes32)(&h.Log), &h.Seq, &h.Position, &data); err != nil {
			return false, err
		}
		if err := dcbor.Unmarshal(data, &h.Entry); err != nil {
			return false, fmt.Errorf("%w: entry %q: %w", errDamaged, h.Name, err)
		}
		h.Snippet = pairsText(h.Entry.Attrs)
		if !m.has(words.Indexed(h.Name), func() []string { return words.Indexed(h.Snippet) }) {
			return false, errNot
		}
		if r.seen[no] {
			return false, nil
		}
		if r.f.Type != "" && !ofType(h.Entry.MediaType, r.f.Type) {
			return false, nil
		}
		r.seen[no] = true
		folder, base := "", h.Name
		if i := strings.LastIndexByte(h.Name, '/'); i >= 0 {
			folder, base = h.Name[:i], h.Name[i+1:]
		}
		h.score = r.score(field{words.Indexed(base), 6}, field{words.Indexed(folder), 3}, field{words.Indexed(h.Snippet), 1})
		r.found.Hits = append(r.found.Hits, h)
		return true, nil
	}, r.since(), clamp(r.f.MinSize), clamp(r.f.MaxSize))
}

// ofType reports whether a media type is the one that is wanted, or of its kind.
func ofType(mediaType, want string) bool {
	whole, _, _ := strings.Cut(mediaType, ";")
	whole = strings.TrimSpace(whole)
	first, _, _ := strings.Cut(whole, "/")
	return strings.EqualFold(whole, want) || strings.EqualFold(first, want)
}

func (r *search) releases(m match) (bool, error) {
	return r.all(findReleases, m, func(scan func(...any) error) (bool, error) {
		h := Hit{Kind: HitRelease}
		if err := scan(&h.Position, &h.no, &h.Issued, (*bytes32)(&h.Log), &h.Seq, &h.Name, &h.Snippet); err != nil {
			return false, err
		}
		if !m.has(words.Indexed(h.Name), func() []string { return words.Indexed(h.Snippet) }) {
			return false, errNot
		}
		if r.seen[h.Position] {
			return false, nil
		}
		r.seen[h.Position] = true
		h.score = r.score(field{words.Indexed(h.Name), 6}, field{words.Indexed(h.Snippet), 1})
		r.found.Hits = append(r.found.Hits, h)
		return true, nil
	}, r.since())
}

func (r *search) channels(m match) (bool, error) {
	return r.all(findChannels, m, func(scan func(...any) error) (bool, error) {
		h := Hit{Kind: HitChannel}
		var issued sql.NullInt64
		var title, topics sql.NullString
		var root []byte
		if err := scan(&h.no, &title, &issued, &topics, &root); err != nil || r.seen[h.no] || issued.Int64 < r.since() {
			return false, err
		}
		r.seen[h.no] = true
		h.Issued = channel.Time(issued.Int64)
		h.Snippet = topics.String
		inTitle, inTopics := words.Indexed(title.String), words.Indexed(topics.String)
		by, err := r.publishers(append(slices.Clone(inTitle), inTopics...), root)
		if err != nil {
			return false, err
		}
		names, _ := by.PublisherNames()
		if len(names) > 0 {
			h.Snippet += " by " + channel.QuotedNames(names)
			h.Alike = by.AlikeNames()
		}
		h.score = r.score(field{inTitle, 8}, field{inTopics, 4}, field{words.Indexed(strings.Join(names, "\n")), 2})
		r.found.Hits = append(r.found.Hits, h)
		return true, nil
	})
}

// publishers is the root that names a channel's, if words that are asked for are not
// among the others that it is found by: most often they are, and nothing is decoded.
func (r *search) publishers(others []string, envelope []byte) (channel.Root, error) {
	if envelope == nil || r.allIn(others) {
		return channel.Root{}, nil
	}
	root, _, err := storedRoot(envelope)
	return root, err
}

// complete adds to a hit what is said about its channel, and cuts its snippet.
func (r *search) complete(h *Hit) error {
	var title sql.NullString
	if err := r.get([]any{(*bytes32)(&h.Channel), &title, &h.Reason}, "SELECT id, "+shownTitle+", reason FROM channels WHERE no = ?", h.no); err != nil {
		return err
	}
	h.Title = title.String
	h.Snippet, _ = words.Snippet(h.Snippet, snippetSize, r.asked)
	var err error
	h.Looks, err = looksLike(r.session, h.no)
	return err
}
