package catalog

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// match is a query of one table of the index in some columns: all of it, and what
// the index is asked first where that costs less; see query.
type match struct {
	all, lean string
	dense     []string
	names     bool // the column of names alone
}

func (r *search) match(table int, columns, scope string) match {
	q := r.queries[table]
	in := func(query string) string {
		if query == "" {
			return ""
		}
		text := "{" + columns + "} : (" + query + ")"
		if scope != "" {
			text += " AND " + scope
		}
		return text
	}
	return match{all: in(q.all), lean: in(q.lean), dense: q.dense, names: columns == "name"}
}

// has reports whether all words of dense are among those of a row's two columns,
// of which text is made only if it is looked at.
func (m *match) has(name []string, text func() []string) bool {
	missing := 0
	for _, w := range m.dense {
		if !slices.Contains(name, w) {
			missing++
		}
	}
	if missing == 0 || m.names { // most often there are none
		return missing == 0
	}
	others := text()
	for _, w := range m.dense {
		if !slices.Contains(name, w) && !slices.Contains(others, w) {
			return false
		}
	}
	return true
}

// finding is a query for candidates: without filters, with them, and for a lean
// one. How many rows are
// looked at stands in the text, since SQLite compiles a query again for every
// other limit that is bound to it.
type finding [3]string

func newFinding(text, channel string) finding {
	text = strings.ReplaceAll(text, "$within", "(?2 = '' OR "+channel+" IN (SELECT value FROM json_each(?2)))")
	position := strings.TrimSuffix(channel, "channel") + "position"
	text = strings.ReplaceAll(text, "$labelled", "(?4 = '' OR EXISTS (SELECT 1 FROM labels l WHERE l.position = "+position+" AND l.label = ?4 AND (?5 = '' OR l.value = ?5)))")
	return finding{
		strings.ReplaceAll(text, "$looked", strconv.Itoa(candidates)),
		strings.ReplaceAll(text, "$looked", strconv.Itoa(scanned)),
		strings.ReplaceAll(text, "$looked", strconv.Itoa(leanly)),
	}
}

// errNot: a row lacks one of the dense words.
var errNot = errors.New("the row does not match")

// all gives the rows of a finding to take, which says whether a row is new or that
// it does not match, until there are enough. It reports whether there may be more.
func (r *search) all(f finding, m match, take func(scan func(...any) error) (fresh bool, err error), args ...any) (more bool, err error) {
	if m.lean != "" && !r.filtered() && !r.f.plain {
		// The newest rows in which all words stand are among the newest in which
		// those of lean do. If they are not among the first of these, what was
		// found is right, and the rest is found as if no word were dense.
		rows, matched, _, err := r.rows(f[2], m.lean, candidates, take, args)
		if err != nil || matched == candidates || rows < leanly {
			return matched == candidates, err
		}
	}
	text, looked := f[0], candidates
	if r.filtered() {
		text, looked = f[1], scanned
	}
	rows, _, fresh, err := r.rows(text, m.all, looked, take, args)
	return fresh == candidates || rows == looked, err
}

// rows reads rows until so many of them match, or enough are new.
func (r *search) rows(text, match string, enough int, take func(scan func(...any) error) (bool, error), args []any) (rows, matched, fresh int, err error) {
	err = r.each(func(scan func(...any) error) (bool, error) {
		rows++
		ok, err := take(scan)
		if errors.Is(err, errNot) {
			return true, nil
		}
		if matched++; ok {
			fresh++
		}
		return matched < enough && fresh < candidates, err
	}, text, append([]any{match, r.within}, args...)...)
	return rows, matched, fresh, err
}
