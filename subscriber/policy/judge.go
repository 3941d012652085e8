package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/size"
)

// Reason says which rule leaves something out, in the word that filters.json has
// for it.
type Reason string

// The reasons. The empty one is none: it is taken.
const (
	Keywords     Reason = "keywords"
	Exclude      Reason = "exclude"
	Regex        Reason = "regex"
	MediaTypes   Reason = "mediaTypes"
	Paths        Reason = "paths"
	MaxAge       Reason = "maxAge"
	MaxSize      Reason = "maxSize"
	MinSources   Reason = "minSources"
	AutoDownload Reason = "autoDownload"
	Quota        Reason = "quota" // the subscriber says so
	KeepRule     Reason = "keep"  // the subscriber says so

	// Missing: nobody who can be asked has it. It is no rule's; the subscriber says so.
	Missing Reason = "missing"

	// Underway: it comes, and is put aside while others have their turn. It is no
	// rule's either.
	Underway Reason = "underway"

	// Of plugins; the subscriber says so.
	Plugin    Reason = "plugin"    // of a release or a file, before it is fetched
	Scan      Reason = "scan"      // of what is in a file
	ScanLater Reason = "scanLater" // who was to look into it did not, or not finally
)

// MayPass reports whether something that was left out for this reason may be
// taken later though the policy stays the same.
func (r Reason) MayPass() bool {
	switch r {
	case MinSources, Quota, KeepRule, Missing, Underway, Plugin, ScanLater:
		return true
	}
	return false
}

// Verdict is what the rules say of a file.
type Verdict struct {
	Reason Reason // empty: take it
	Why    string // for people
}

// Take reports whether the file is wanted.
func (v Verdict) Take() bool { return v.Reason == "" }

// Release is what the rules look at in a release, beside its files.
type Release struct {
	Issued      channel.Time
	Title       string
	Description string
	Metadata    map[string]string
}

// Judge is the rules' view of one release. What they say of the release itself
// is worked out once, however many files it has.
type Judge struct {
	r     *Rules
	whole Verdict // of all files, whatever they are

	keyword, regex bool   // the release itself has one of those looked for
	excluded       string // the release itself has this one, which must not be
}

// Judge looks at a release at the time now.
func (r *Rules) Judge(release Release, now time.Time) *Judge {
	j := &Judge{r: r}
	texts := make([]string, 0, 2+len(release.Metadata))
	if len(r.keywords)+len(r.exclude) > 0 {
		texts = append(texts, fold(release.Title), fold(release.Description))
		for _, v := range release.Metadata {
			texts = append(texts, fold(v))
		}
	}
	j.keyword = occurs(r.keywords, texts) != ""
	j.excluded = occurs(r.exclude, texts)
	j.regex = slices.ContainsFunc(r.regex, func(p pattern) bool { return p.MatchString(release.Title) })
	switch age := now.Sub(release.Issued.Time()); {
	case j.excluded != "":
		j.whole = Verdict{Exclude, fmt.Sprintf("the release says %q", j.excluded)}
	case r.MaxAge > 0 && age > r.MaxAge:
		j.whole = Verdict{MaxAge, fmt.Sprintf("it is older than %s", FormatAge(r.MaxAge))}
	}
	return j
}

// Whole says what holds for all files of the release; if it takes them, each has
// still to be asked about.
func (j *Judge) Whole() Verdict { return j.whole }

// Listed says that files are told and not fetched, if the policy says so.
func (j *Judge) listed() Verdict {
	if j.r.ListOnly {
		return Verdict{AutoDownload, "releases are only listed"}
	}
	return Verdict{}
}

// File says whether a file is wanted, as far as that does not depend on who has
// it.
func (j *Judge) File(e *channel.FileEntry) Verdict {
	if !j.whole.Take() {
		return j.whole
	}
	r := j.r
	if len(r.keywords) > 0 && !j.keyword || len(r.exclude) > 0 {
		texts := []string{fold(e.Name)}
		for _, v := range e.Attrs {
			texts = append(texts, fold(v))
		}
		if word := occurs(r.exclude, texts); word != "" {
			return Verdict{Exclude, fmt.Sprintf("the file says %q", word)}
		}
		if len(r.keywords) > 0 && !j.keyword && occurs(r.keywords, texts) == "" {
			return Verdict{Keywords, "it has none of the keywords"}
		}
	}
	if len(r.regex) > 0 && !j.regex && !slices.ContainsFunc(r.regex, func(p pattern) bool { return p.MatchString(e.Name) }) {
		return Verdict{Regex, "no regular expression matches"}
	}
	if kind := mediaType(e); len(r.types) > 0 && !slices.ContainsFunc(r.types, func(p pattern) bool { return p.MatchString(kind) }) {
		return Verdict{MediaTypes, "its media type is " + kind}
	}
	if len(r.paths) > 0 && !anyMatches(r.paths, e.Name) || anyMatches(r.notPaths, e.Name) {
		return Verdict{Paths, "its name is not among those wanted"}
	}
	if r.Policy.MaxSize > 0 && e.Size > uint64(r.Policy.MaxSize) {
		return Verdict{MaxSize, fmt.Sprintf("it has %s, at most %s are wanted", size.Format(int64(e.Size)), size.Format(r.Policy.MaxSize))}
	}
	return j.listed()
}

// Sealed says whether a release that cannot be read is wanted by who has its
// blobs for others. A rule about what is in it cannot be kept to then: with one,
// it is left out.
func (r *Rules) Sealed(issued channel.Time, now time.Time) Verdict {
	if v := r.Judge(Release{Issued: issued}, now); v.whole.Reason == MaxAge {
		return v.whole
	}
	p := r.Policy
	for _, rule := range []struct {
		there  bool
		reason Reason
	}{
		{len(p.Keywords) > 0, Keywords}, {len(p.Exclude) > 0, Exclude}, {len(p.Regex) > 0, Regex}, {len(p.MediaTypes) > 0, MediaTypes},
		{len(p.Paths) > 0, Paths}, {p.MaxSize > 0, MaxSize}, {p.MinSources > 0, MinSources}, {p.Quota > 0, Quota}, {len(p.Keep) > 0, KeepRule},
	} {
		if rule.there {
			return Verdict{rule.reason, "without a read key nobody can tell"}
		}
	}
	if p.ListOnly {
		return Verdict{AutoDownload, "releases are only listed"}
	}
	return Verdict{}
}

// Sources says whether so many nodes that have a file are enough.
func (r *Rules) Sources(n int) Verdict {
	if n < r.Policy.MinSources {
		return Verdict{MinSources, fmt.Sprintf("%d nodes have it, %d are wanted", n, r.Policy.MinSources)}
	}
	return Verdict{}
}

// occurs returns the first word that is in one of the texts, "" if none is. All
// are folded.
func occurs(words, texts []string) string {
	for _, w := range words {
		if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, w) }) {
			return w
		}
	}
	return ""
}

// mediaType is an entry's type without parameters, in lower case.
func mediaType(e *channel.FileEntry) string {
	kind, _, _ := strings.Cut(strings.ToLower(e.MediaType), ";")
	if kind = strings.TrimSpace(kind); kind != "" {
		return kind
	}
	return "application/octet-stream"
}
