package policy

import (
	"cmp"
	"container/heap"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/size"
)

// Keep bounds what stays of the files whose names in the channel match Path. A
// bound that is 0 is none.
type Keep struct {
	Path  string // glob; if empty, all
	Count int64  // so many files, the newest
	Age   time.Duration
	Bytes int64
}

// Item is a file, on disk or to be.
type Item struct {
	Name     string // of the channel's entry
	Size     uint64
	Issued   channel.Time // by its release
	Position int64        // of its release, in the local order
}

// newer orders items: the newest release first, then by name.
func newer(a, b Item) int {
	return cmp.Or(cmp.Compare(b.Issued, a.Issued), cmp.Compare(b.Position, a.Position), cmp.Compare(a.Name, b.Name))
}

// Keeper finds out which files stay. Give it each once with Add, the oldest first
// (see Oldest), so that those of the newest releases stay and not whatever fits; what
// it holds in memory are those that stay.
type Keeper struct {
	r   *Rules
	now time.Time

	rules []*kept // one for each of the policy's
}

// kept is what one rule keeps, the oldest on top.
type kept struct {
	items []Item
	bytes uint64
}

// Keeper begins to look at files at the time now.
func (r *Rules) Keeper(now time.Time) *Keeper {
	k := &Keeper{r: r, now: now, rules: make([]*kept, len(r.keep))}
	for i := range k.rules {
		k.rules[i] = new(kept)
	}
	return k
}

// rule returns the number of the first rule that a name falls under, -1 for none.
func (r *Rules) rule(name string) int {
	for i, p := range r.keep {
		if p.matches(name) {
			return i
		}
	}
	return -1
}

// Add takes a file in and returns those that do not stay because of it, perhaps
// the very one.
func (k *Keeper) Add(it Item) (gone []Item) {
	for _, g := range k.add(it) {
		gone = append(gone, g.Item)
	}
	return gone
}

// goner is what add lets go of.
type goner struct {
	Gone
	aged bool // its age is why
}

func (k *Keeper) add(it Item) (gone []goner) {
	i := k.r.rule(it.Name)
	if i < 0 {
		return nil
	}
	rule, set := k.r.Policy.Keep[i], k.rules[i]
	if rule.Age > 0 && k.now.Sub(it.Issued.Time()) > rule.Age {
		return []goner{{Gone{it, rule.whyAge()}, true}}
	}
	heap.Push(set, it)
	for len(set.items) > 0 {
		why := ""
		switch {
		case rule.Count > 0 && int64(len(set.items)) > rule.Count:
			why = rule.whyCount()
		case rule.Bytes > 0 && set.bytes > uint64(rule.Bytes):
			why = rule.whyBytes()
		default:
			return gone
		}
		gone = append(gone, goner{Gone{heap.Pop(set).(Item), why}, false})
	}
	return gone
}

// WhyGone says, for people, which rule lets go of a file.
func (r *Rules) WhyGone(name string) string {
	i := r.rule(name)
	if i < 0 {
		return "no keep rule is about it"
	}
	k := r.Policy.Keep[i]
	what := "kept are"
	if k.Count > 0 {
		what += fmt.Sprintf(" %d files,", k.Count)
	}
	if k.Age > 0 {
		what += fmt.Sprintf(" %s,", FormatAge(k.Age))
	}
	if k.Bytes > 0 {
		what += fmt.Sprintf(" %s,", size.Format(k.Bytes))
	}
	what = what[:len(what)-1]
	if k.Path != "" {
		what += " of " + k.Path
	}
	return what
}

// The heap of container/heap: the oldest is the least.

func (s *kept) Len() int           { return len(s.items) }
func (s *kept) Less(i, j int) bool { return newer(s.items[i], s.items[j]) > 0 }
func (s *kept) Swap(i, j int)      { s.items[i], s.items[j] = s.items[j], s.items[i] }

// Push implements heap.Interface.
func (s *kept) Push(x any) {
	it := x.(Item)
	s.items = append(s.items, it)
	s.bytes += it.Size
}

// Pop implements heap.Interface.
func (s *kept) Pop() any {
	last := s.items[len(s.items)-1]
	s.items = s.items[:len(s.items)-1]
	s.bytes -= last.Size
	return last
}
