package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/channel"
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
	Label   string     // if not empty: releases with this label, and their files
	Value   string     // and if not empty: with this value of it
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
		kinds = append(kinds, kind{inReleases, r.releases, r.scope, inside})
		if r.f.Label == "" { // which no channel has
			kinds = append(kinds, kind{inChannels, r.channels, "", r.within})
		}
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
