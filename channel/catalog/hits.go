package catalog

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/internal/words"
)

var (
	findEntries = newFinding(`SELECT e.no, e.channel, e.name, e.issued, e.log, e.seq, e.position, e.entry
		FROM (SELECT rowid AS no FROM found_entries WHERE found_entries MATCH ?1 ORDER BY rowid DESC LIMIT $looked) f
		CROSS JOIN entries e ON e.no = f.no
		WHERE e.issued >= ?3 AND e.size BETWEEN ?6 AND ?7 AND $labelled AND $within ORDER BY f.no DESC`, "e.channel")
	findReleases = newFinding(`SELECT m.position, m.channel, m.issued, m.log, m.seq, m.title, m.text
		FROM (SELECT rowid AS no FROM found_releases WHERE found_releases MATCH ?1 ORDER BY rowid DESC LIMIT $looked) f
		CROSS JOIN releases m ON m.position = f.no
		WHERE m.issued >= ?3 AND $labelled AND $within ORDER BY f.no DESC`, "m.channel")
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
	}, r.since(), r.f.Label, r.f.Value, clamp(r.f.MinSize), clamp(r.f.MaxSize))
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
	}, r.since(), r.f.Label, r.f.Value)
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
