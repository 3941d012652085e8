package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/anonymous-media-library/aml/blobnet/limit"
)

// ErrPolicy: what a policy says cannot be meant. The message names the field.
var ErrPolicy = errors.New("not a policy")

// fieldError is an ErrPolicy in a field.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string   { return fmt.Sprintf("%v: %s: %v", ErrPolicy, e.field, e.err) }
func (e *fieldError) Unwrap() []error { return []error{ErrPolicy, e.err} }

func wrong(field, format string, args ...any) error {
	return &fieldError{field, fmt.Errorf(format, args...)}
}

// placed is a fieldError of which something else says the field.
type placed struct{ *fieldError }

func (e placed) Error() string { return e.err.Error() }

// alone checks what was just read of a policy, as if nothing else were in it.
func (p Policy) alone() error {
	_, err := p.Compile(time.UTC)
	var f *fieldError
	if errors.As(err, &f) {
		return placed{f}
	}
	return err
}

// pattern is an expression that takes time linear in what it is held against.
type pattern struct {
	*regexp.Regexp
	text  string
	whole bool // of a glob: it is held against whole names, not against their last part
}

func compileTerms(r *Rules, _ *time.Location) error {
	var err error
	if r.keywords, err = foldAll("keywords", r.Keywords); err != nil {
		return err
	}
	if r.exclude, err = foldAll("exclude", r.Exclude); err != nil {
		return err
	}
	if err := checkTerms("regex", r.Regex, MaxRegex); err != nil {
		return err
	}
	for _, text := range r.Regex {
		re, err := r.compile("regex", text)
		if err != nil {
			return err
		}
		r.regex = append(r.regex, pattern{Regexp: re, text: text})
	}
	if err := checkTerms("mediaTypes", r.MediaTypes, MaxTerm); err != nil {
		return err
	}
	for _, text := range r.MediaTypes {
		if strings.Count(text, "/") != 1 || strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
			return wrong("mediaTypes", "%q is not like video/mp4 or video/*", clip(text))
		}
		p, err := glob(strings.ToLower(text))
		if err != nil {
			return wrong("mediaTypes", "%w", err)
		}
		r.types = append(r.types, p)
	}
	if err := checkTerms("paths", r.Paths, MaxTerm); err != nil {
		return err
	}
	for _, text := range r.Paths {
		positive, not := strings.CutPrefix(text, "!")
		p, err := glob(positive)
		if err != nil {
			return wrong("paths", "%w", err)
		}
		if not {
			r.notPaths = append(r.notPaths, p)
		} else {
			r.paths = append(r.paths, p)
		}
	}
	return nil
}

func compileBounds(r *Rules, zone *time.Location) (err error) {
	switch {
	case r.MaxAge < 0:
		return wrong("maxAge", "it is negative")
	case r.MaxSize < 0:
		return wrong("maxSize", "it is negative")
	case r.Quota < 0:
		return wrong("quota", "it is negative")
	case r.MinSources < 0 || r.MinSources > maxSources:
		return wrong("minSources", "want 0 to %d", maxSources)
	case r.Priority < limit.Low || r.Priority > limit.High:
		return wrong("priority", "want low, normal or high")
	}
	if r.Limits, err = limit.Parse(r.Rate, zone); err != nil {
		return wrong("rate", "%w", err)
	}
	if r.Week, err = limit.ParseWeek(r.Hours, zone); err != nil {
		return wrong("hours", "%w", err)
	}
	return nil
}

func compileName(r *Rules, _ *time.Location) (err error) {
	if r.Template, err = ParseTemplate(r.Name); err != nil {
		return wrong("name", "%w", err)
	}
	return nil
}

func compileKeep(r *Rules, _ *time.Location) error {
	if len(r.Keep) > MaxTerms {
		return wrong("keep", "%d rules, at most %d are allowed", len(r.Keep), MaxTerms)
	}
	for _, k := range r.Keep {
		if k.Count < 0 || k.Age < 0 || k.Bytes < 0 || k.Count > maxKeepCount {
			return wrong("keep", "a bound is negative or beyond all reason")
		}
		if k.Count == 0 && k.Age == 0 && k.Bytes == 0 {
			return wrong("keep", "a rule bounds nothing: give it a count, an age or bytes, over 0")
		}
		path := k.Path
		if path == "" {
			path = "**"
		}
		if len(path) > MaxTerm {
			return wrong("keep", "a path has %d bytes, at most %d are allowed", len(path), MaxTerm)
		}
		p, err := glob(path)
		if err != nil {
			return wrong("keep", "%w", err)
		}
		r.keep = append(r.keep, p)
	}
	return nil
}

func checkTerms(field string, terms []string, most int) error {
	if len(terms) > MaxTerms {
		return wrong(field, "%d items, at most %d are allowed", len(terms), MaxTerms)
	}
	for _, t := range terms {
		switch {
		case strings.TrimSpace(t) == "":
			return wrong(field, "an item is empty")
		case len(t) > most:
			return wrong(field, "an item has %d bytes, at most %d are allowed", len(t), most)
		case !utf8.ValidString(t):
			return wrong(field, "an item is not valid UTF-8")
		}
	}
	return nil
}

func foldAll(field string, terms []string) ([]string, error) {
	if err := checkTerms(field, terms, MaxTerm); err != nil {
		return nil, err
	}
	out := make([]string, len(terms))
	for i, t := range terms {
		out[i] = fold(strings.TrimSpace(t))
	}
	return out, nil
}

// fold makes texts comparable that differ in case or in how characters are put
// together.
func fold(s string) string { return norm.NFC.String(strings.ToLower(s)) }

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:8])
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
