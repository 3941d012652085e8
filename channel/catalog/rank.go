package catalog

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/internal/words"
)

// ranking says how well a text answers a query: BM25F (Robertson and Zaragoza),
// that is BM25 over several fields with a weight each, with the usual constants.
// The texts are read again for it, so that nothing but the candidates costs.
type ranking struct {
	terms   []term
	queries [tables]query
}

// query is what is asked for as FTS5 reads it, without columns: of one of the
// tables of the index.
type query struct {
	all string

	// lean is all without the words of dense, which stand in most of the newest
	// rows: to look those up would cost the most and rule out the least, so they
	// are looked for in the rows that lean finds. Empty where there are none, or
	// nothing else. Of channels, of which there are fewer, none is.
	lean  string
	dense []string
}

// The tables of the index.
const (
	inChannels = iota
	inReleases
	inEntries
	tables
)

type term struct {
	word   string
	prefix bool // it may go on
	idf    float64
}

// field is one part of a text, and how much a word in it counts.
type field struct {
	words  []string
	weight float64
}

const (
	k1     = 1.2 // how soon more of the same word says nothing new
	long   = 0.5 // how much a long field counts for less
	usual  = 8   // words of a field
	goesOn = 0.6 // how much a word counts that only begins as asked
)

func newRanking(q words.Query) ranking {
	var r ranking
	for _, w := range q.Words() {
		r.terms = append(r.terms, term{word: w})
	}
	if q.Prefix != "" {
		r.terms = append(r.terms, term{word: q.Prefix, prefix: true})
	}
	return r
}

// weigh finds out how rare each word is, and with which words the last one may go
// on.
func (r *ranking) weigh(s *session, q words.Query) error {
	var parts []string
	var single []string // the word of each part, if it is one
	for _, p := range q.Phrases {
		parts = append(parts, quote(strings.Join(p, " ")))
		single = append(single, "")
		if len(p) == 1 {
			single[len(single)-1] = p[0]
		}
	}
	if q.Prefix != "" {
		all, err := complete(s, q.Prefix)
		if err != nil {
			return err
		}
		quoted := make([]string, len(all))
		for i, w := range all {
			quoted[i] = quote(w)
		}
		parts = append(parts, "("+strings.Join(quoted, " OR ")+")")
		single = append(single, "")
	}
	dense := map[string][tables]bool{}
	for i := range r.terms {
		t := &r.terms[i]
		text := quote(t.word)
		if t.prefix {
			text = parts[len(parts)-1]
		}
		text = "{name text} : " + text
		df := 0
		var in [tables]bool
		for table, count := range countings {
			var n, span int
			if err := s.get([]any{&n, &span}, count, text); err != nil {
				return err
			}
			df += n
			in[table] = table != inChannels && n == counted && span < counted*sparse
		}
		t.idf = math.Log(1 + counted/(1+float64(df)))
		if !t.prefix {
			dense[t.word] = in
		}
	}
	for table := range r.queries {
		r.queries[table] = newQuery(parts, single, func(word string) bool { return dense[word][table] })
	}
	return nil
}

func newQuery(parts, single []string, dense func(word string) bool) query {
	out := query{all: strings.Join(parts, " AND ")}
	var lean []string
	for i, part := range parts {
		if single[i] != "" && dense(single[i]) {
			out.dense = append(out.dense, single[i])
			continue
		}
		lean = append(lean, part)
	}
	if len(out.dense) > 0 {
		out.lean = strings.Join(lean, " AND ")
	}
	return out
}

// countings count the newest rows that match, as far as that says something, and
// over how many rows they spread.
var countings = func() (all [tables]string) {
	for i, table := range [tables]string{
		inChannels: "found_channels", inReleases: "found_releases", inEntries: "found_entries",
	} {
		of := [tables]string{inChannels: "max(no) FROM channels", inReleases: "max(position) FROM releases", inEntries: "max(no) FROM entries"}[i]
		all[i] = fmt.Sprintf(`SELECT count(*), coalesce((SELECT %[3]s) - min(no), 0) FROM
			(SELECT rowid AS no FROM %[1]s WHERE %[1]s MATCH ? ORDER BY rowid DESC LIMIT %[2]d)`, table, counted, of)
	}
	return all
}()

// complete returns the prefix, and words that begin with it, the shortest first.
func complete(s *session, prefix string) ([]string, error) {
	out := []string{prefix}
	err := s.each(func(scan func(...any) error) (bool, error) {
		var w string
		err := scan(&w)
		if err == nil && w != prefix {
			out = append(out, w)
		}
		return len(out) < completions, err
	}, `SELECT word FROM (SELECT word FROM words WHERE word >= ?1 AND word < ?2 LIMIT ?3) ORDER BY length(word), word`,
		prefix, prefix+"\U0010ffff", completed)
	return out, err
}

// quote makes text one string of FTS5's language, whatever is in it.
func quote(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

// score says how well fields answer the query.
func (r *ranking) score(fields ...field) float64 {
	sum := 0.0
	for _, t := range r.terms {
		tf := 0.0
		for _, f := range fields {
			n := 0.0
			for _, w := range f.words {
				switch {
				case w == t.word:
					n++
				case t.prefix && strings.HasPrefix(w, t.word):
					n += goesOn
				}
			}
			tf += f.weight * n / (1 - long + long*float64(len(f.words))/usual)
		}
		sum += t.idf * tf / (k1 + tf)
	}
	return sum
}

// allIn reports whether all that is asked for is among words.
func (r *ranking) allIn(all []string) bool {
	for _, t := range r.terms {
		if !slices.ContainsFunc(all, func(w string) bool { return w == t.word || t.prefix && strings.HasPrefix(w, t.word) }) {
			return false
		}
	}
	return true
}

// asked reports whether the query asks for a word.
func (r *ranking) asked(word string) bool {
	return slices.ContainsFunc(r.terms, func(t term) bool {
		return word == t.word || t.prefix && strings.HasPrefix(word, t.word)
	})
}
