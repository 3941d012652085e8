package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/size"
)

// Gone is a file that the keep rules do not keep.
type Gone struct {
	Item
	Why string // the bound and the glob, for people: "count 50 of episodes/**"
}

// Retire says which of a publisher's files the keep rules let go, the oldest
// first, at the time now. The result depends on nothing but the files and the
// time, in whatever order they come.
//
// What the newest release brought stays whatever its number and its bytes, since
// it would else be removed by its own publication: the files of it that only a
// later release saves from the rules are those of spared.
func (r *Rules) Retire(items []Item, now time.Time) (gone, spared []Gone) {
	items = slices.Clone(items)
	slices.SortFunc(items, older)
	var newest Item
	if len(items) > 0 {
		newest = items[len(items)-1]
	}
	k := r.Keeper(now)
	for _, it := range items {
		for _, g := range k.add(it) {
			if !g.aged && g.Position == newest.Position && g.Issued == newest.Issued {
				spared = append(spared, g.Gone)
			} else {
				gone = append(gone, g.Gone)
			}
		}
	}
	for _, list := range [][]Gone{gone, spared} {
		slices.SortFunc(list, func(a, b Gone) int { return older(a.Item, b.Item) })
	}
	return gone, spared
}

// NextAge is when the next of the files becomes too old for its rule, zero for
// never.
func (r *Rules) NextAge(items []Item, now time.Time) (next time.Time) {
	for _, it := range items {
		i := r.rule(it.Name)
		if i < 0 || r.Policy.Keep[i].Age == 0 {
			continue
		}
		at := it.Issued.Time().Add(r.Policy.Keep[i].Age + 1)
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// older orders items as they are let go.
func older(a, b Item) int { return newer(b, a) }

// Oldest puts items into the order in which a Keeper is to be given them.
func Oldest(items []Item) { slices.SortFunc(items, older) }

// why is what Gone says of a bound of a rule.
func (k Keep) why(bound string) string {
	if k.Path != "" {
		bound += " of " + k.Path
	}
	return bound
}

func (k Keep) whyAge() string   { return k.why("age " + FormatAge(k.Age)) }
func (k Keep) whyCount() string { return k.why(fmt.Sprintf("count %d", k.Count)) }
func (k Keep) whyBytes() string {
	return k.why("bytes " + strings.ReplaceAll(size.Format(k.Bytes), " ", ""))
}

// String writes a rule as flags have it.
func (k Keep) String() string {
	var parts []string
	if k.Path != "" {
		parts = append(parts, "path="+k.Path)
	}
	if k.Count > 0 {
		parts = append(parts, fmt.Sprintf("count=%d", k.Count))
	}
	if k.Age > 0 {
		parts = append(parts, "age="+FormatAge(k.Age))
	}
	if k.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("bytes=%d", k.Bytes))
	}
	return strings.Join(parts, ",")
}

// ParseKeeps reads a document of keep rules alone: {"keep": [...]}, as
// filters.json has them. Errors say the line, the column and the field.
func ParseKeeps(name string, data []byte) (rules []Keep, err error) {
	said := false
	err = channel.ReadJSON(name, data, func(j *channel.JSON) error {
		read := func() error {
			return j.Object(func(key string) (err error) {
				switch key {
				case "version":
					err = j.Version(version)
				case "keep":
					said = true
					rules, err = keeps(j)
				default:
					err = j.Unknown(key)
				}
				return err
			})
		}
		return j.Judge(read, func() error {
			if !said {
				return wrong("keep", "it is missing; [] takes all rules away")
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if _, err := (Policy{Keep: rules}).Compile(time.UTC); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return rules, nil
}

// KeepsJSON writes what ParseKeeps reads.
func KeepsJSON(rules []Keep) json.RawMessage {
	out := []keepJSON{}
	for _, k := range rules {
		out = append(out, keepJSON{k.Path, k.Count, FormatAge(k.Age), k.Bytes})
	}
	text, _ := json.Marshal(map[string]any{"keep": out}) // has no values that cannot be encoded
	return text
}
