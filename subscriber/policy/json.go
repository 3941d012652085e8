package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/size"
)

// version is the value of "version", which may be left out.
const version = 1

// Change reads filters.json, or inline JSON of the same form, on top of a
// policy: a field that is there replaces what base says, "" or [] or 0 takes it
// away. Errors say the line, the column and the field. name is what they call
// the document.
func Change(base Policy, name string, data []byte) (Policy, error) {
	p := base
	err := channel.ReadJSON(name, data, func(j *channel.JSON) error {
		return j.Object(func(key string) error { return p.field(j, key) })
	})
	if err != nil {
		return Policy{}, err
	}
	if _, err := p.Compile(time.UTC); err != nil {
		return Policy{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return p, nil
}

// Read reads the policy that comes next in a larger document.
func Read(j *channel.JSON) (p Policy, err error) {
	if err := j.Object(func(key string) error { return p.field(j, key) }); err != nil {
		return Policy{}, err
	}
	_, err = p.Compile(time.UTC)
	return p, err
}

// Parse is Change of a policy that takes everything.
func Parse(name string, data []byte) (Policy, error) { return Change(Policy{}, name, data) }

func (p *Policy) field(j *channel.JSON, key string) (err error) {
	switch key {
	case "version":
		err = j.Version(version)
	case "keywords":
		p.Keywords, err = list(j, func(t []string) Policy { return Policy{Keywords: t} })
	case "exclude":
		p.Exclude, err = list(j, func(t []string) Policy { return Policy{Exclude: t} })
	case "regex":
		p.Regex, err = list(j, func(t []string) Policy { return Policy{Regex: t} })
	case "mediaTypes":
		p.MediaTypes, err = list(j, func(t []string) Policy { return Policy{MediaTypes: t} })
	case "paths":
		p.Paths, err = list(j, func(t []string) Policy { return Policy{Paths: t} })
	case "maxAge":
		p.MaxAge, err = age(j)
	case "maxSize":
		p.MaxSize, err = bytes(j)
	case "minSources":
		var n uint64
		n, err = j.Uint(maxSources)
		p.MinSources = int(n)
	case "autoDownload":
		var auto bool
		auto, err = j.Bool()
		p.ListOnly = !auto
	case "quota":
		p.Quota, err = bytes(j)
	case "priority":
		err = j.Check(func(s string) (err error) { p.Priority, err = parseRank(s); return err })
	case "rate":
		err = j.Check(func(s string) error { p.Rate = s; _, err := limit.Parse(s, nil); return err })
	case "hours":
		err = j.Check(func(s string) error { p.Hours = s; _, err := limit.ParseWeek(s, nil); return err })
	case "name":
		err = j.Check(func(s string) error { p.Name = s; _, err := ParseTemplate(s); return err })
	case "keep":
		p.Keep, err = keeps(j)
	case "keepBlobs":
		p.KeepBlobs, err = j.Bool()
	case "lookUp":
		p.LookUp, err = j.Bool()
	default:
		err = j.Unknown(key)
	}
	return err
}

// list reads an array of strings, of which of makes a policy that says nothing
// else: each is judged by itself, so that it is named, and then all of them.
func list(j *channel.JSON, of func([]string) Policy) (out []string, err error) {
	item := func(int) error {
		if len(out) == MaxTerms {
			return j.Refuse("more than %d items", MaxTerms)
		}
		var s string
		return j.Judge(func() (err error) { s, err = j.Text(); return err }, func() error {
			out = append(out, s)
			return of([]string{s}).alone()
		})
	}
	err = j.Judge(func() error { return j.Array(item) }, func() error { return of(out).alone() })
	return out, err
}

func age(j *channel.JSON) (d time.Duration, err error) {
	err = j.Check(func(s string) (err error) {
		if d, err = ParseAge(s); err == nil && d == 0 && strings.TrimSpace(s) != "" {
			err = errNothing(s)
		}
		return err
	})
	return d, err
}

// bytes reads a number, or a text such as "2GiB".
func bytes(j *channel.JSON) (n int64, err error) {
	if !j.Begins('"') {
		var u uint64
		err = j.Judge(func() (err error) { u, err = j.Uint(math.MaxInt64); return err }, func() error {
			if u == 0 {
				return errNothing("0")
			}
			return nil
		})
		return int64(u), err
	}
	err = j.Check(func(s string) (err error) {
		if s == "" {
			return nil
		}
		if n, err = size.Parse(s); err == nil && n == 0 {
			err = errNothing(s)
		}
		return err
	})
	return n, err
}

// errNothing is about a bound that nothing could keep to. It is not taken for none.
func errNothing(text string) error {
	return fmt.Errorf("%q lets nothing through: want more, or an empty text for no bound", clip(text))
}

// keeps reads one rule or an array of them; a rule may be a text, as flags have
// it.
func keeps(j *channel.JSON) ([]Keep, error) {
	if !j.Begins('[') {
		k, err := keep(j)
		return []Keep{k}, err
	}
	var out []Keep
	err := j.Array(func(int) error {
		if len(out) == MaxTerms {
			return j.Refuse("more than %d rules", MaxTerms)
		}
		k, err := keep(j)
		out = append(out, k)
		return err
	})
	return out, err
}

func keep(j *channel.JSON) (k Keep, err error) {
	err = j.Judge(func() (err error) { k, err = keepOf(j); return err }, func() error { return Policy{Keep: []Keep{k}}.alone() })
	return k, err
}

func keepOf(j *channel.JSON) (k Keep, err error) {
	if j.Begins('"') {
		err = j.Check(func(s string) (err error) { k, err = ParseKeep(s); return err })
		return k, err
	}
	err = j.Object(func(key string) (err error) {
		switch key {
		case "path":
			k.Path, err = j.Text()
		case "count":
			var n uint64
			n, err = j.Uint(maxKeepCount)
			k.Count = int64(n)
		case "age":
			k.Age, err = age(j)
		case "bytes":
			k.Bytes, err = bytes(j)
		default:
			err = j.Unknown(key)
		}
		return err
	})
	return k, err
}

const keepForm = "want path=GLOB, count=N, age=30d or bytes=2GiB, with commas between them"

// ParseKeep reads a rule as flags have it: "count=10", "path=daily/**,age=30d,bytes=2GiB".
func ParseKeep(text string) (k Keep, err error) {
	said := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case !ok && part == text:
			err = errors.New(keepForm)
		case !ok:
			err = fmt.Errorf("%q: %s", clip(part), keepForm)
		case said[name]:
			err = fmt.Errorf("%s is there twice", clip(name))
		case value == "" && (name == "path" || name == "count" || name == "age" || name == "bytes"):
			err = fmt.Errorf("%s is empty", name)
		case name == "path":
			k.Path = value
		case name == "count":
			if k.Count, err = strconv.ParseInt(value, 10, 64); err != nil || k.Count < 1 || k.Count > maxKeepCount {
				err = fmt.Errorf("count %q: want a whole number, 1 or more", clip(value))
			}
		case name == "age":
			if k.Age, err = ParseAge(value); err == nil && k.Age == 0 {
				err = fmt.Errorf("age %q: want more, or no age at all", clip(value))
			}
		case name == "bytes":
			if k.Bytes, err = size.Parse(value); err == nil && k.Bytes == 0 {
				err = fmt.Errorf("bytes %q: want more, or no bytes at all", clip(value))
			}
		default:
			err = fmt.Errorf("%q is none of path, count, age, bytes", clip(name))
		}
		said[name] = true
		if err != nil {
			return Keep{}, fmt.Errorf("keep rule %q: %w", clip(text), err)
		}
	}
	return k, nil
}

var ranks = map[string]limit.Rank{"low": limit.Low, "normal": limit.Normal, "": limit.Normal, "high": limit.High}

func parseRank(s string) (limit.Rank, error) {
	r, ok := ranks[s]
	if !ok {
		return 0, fmt.Errorf("%q is none of low, normal, high", clip(s))
	}
	return r, nil
}

// policyJSON is what a policy is written as.
type policyJSON struct {
	Keywords     []string   `json:"keywords,omitempty"`
	Exclude      []string   `json:"exclude,omitempty"`
	Regex        []string   `json:"regex,omitempty"`
	MediaTypes   []string   `json:"mediaTypes,omitempty"`
	Paths        []string   `json:"paths,omitempty"`
	MaxAge       string     `json:"maxAge,omitempty"`
	MaxSize      int64      `json:"maxSize,omitempty"`
	MinSources   int        `json:"minSources,omitempty"`
	AutoDownload *bool      `json:"autoDownload,omitempty"`
	Quota        int64      `json:"quota,omitempty"`
	Priority     string     `json:"priority,omitempty"`
	Rate         string     `json:"rate,omitempty"`
	Hours        string     `json:"hours,omitempty"`
	Name         string     `json:"name,omitempty"`
	Keep         []keepJSON `json:"keep,omitempty"`
	KeepBlobs    bool       `json:"keepBlobs,omitempty"`
	LookUp       bool       `json:"lookUp,omitempty"`
}

type keepJSON struct {
	Path  string `json:"path,omitempty"`
	Count int64  `json:"count,omitempty"`
	Age   string `json:"age,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
}

// MarshalJSON writes what Change reads: the fields that say something.
func (p Policy) MarshalJSON() ([]byte, error) {
	out := policyJSON{
		Keywords: p.Keywords, Exclude: p.Exclude, Regex: p.Regex, MediaTypes: p.MediaTypes, Paths: p.Paths,
		MaxAge: FormatAge(p.MaxAge), MaxSize: p.MaxSize, MinSources: p.MinSources, Quota: p.Quota,
		Rate: p.Rate, Hours: p.Hours, Name: p.Name, KeepBlobs: p.KeepBlobs, LookUp: p.LookUp,
	}
	if p.ListOnly {
		out.AutoDownload = new(bool)
	}
	switch p.Priority {
	case limit.Low:
		out.Priority = "low"
	case limit.High:
		out.Priority = "high"
	}
	for _, k := range p.Keep {
		out.Keep = append(out.Keep, keepJSON{k.Path, k.Count, FormatAge(k.Age), k.Bytes})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes, as strictly as Parse.
func (p *Policy) UnmarshalJSON(data []byte) (err error) {
	*p, err = Parse("policy", data)
	return err
}
