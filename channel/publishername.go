package channel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/internal/lookalike"
)

// CheckPublisherName reports what is wrong with the name of a publisher, of
// which there need be none. Programs list names with commas between them, and
// nobody sees white space around one: neither may make two names of one, or one of
// two.
func CheckPublisherName(name string) error {
	if err := checkLine("name", name, MaxPublisherName); err != nil {
		return err
	}
	switch {
	case name != strings.TrimSpace(name):
		return fmt.Errorf("%w: name %q has white space around it, or is nothing else", ErrMalformed, name)
	case strings.Contains(name, ","):
		return fmt.Errorf("%w: name %q has a comma", ErrMalformed, name)
	}
	return nil
}

// PublisherNames returns what those are called who may publish, sorted, each name
// once, and how many keys that may have no name.
func (r Root) PublisherNames() (names []string, unnamed int) {
	for _, p := range r.Publishers {
		switch {
		case p.Role != RolePublish:
		case p.Name == "":
			unnamed++
		default:
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), unnamed
}

// AlikeNames returns the different names of publishers that a hurried reader takes
// for one another, sorted: at least two in each group. Which of them imitates the
// other nobody can tell.
func (r Root) AlikeNames() [][]string {
	first := ""
	if !slices.ContainsFunc(r.Publishers, func(p Publisher) bool {
		if first == "" {
			first = p.Name
		}
		return p.Name != "" && p.Name != first
	}) {
		return nil // most often: one name, or none
	}
	var out [][]string
	groups := make(map[string][]string)
	for _, p := range r.Publishers {
		if s := lookalike.Skeleton(p.Name); s != "" && !slices.Contains(groups[s], p.Name) {
			groups[s] = append(groups[s], p.Name)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(groups)) {
		if names := groups[s]; len(names) > 1 {
			slices.Sort(names)
			out = append(out, names)
		}
	}
	return out
}

// QuotedNames lists names of publishers, so that none can look like two, or like
// what is said around them.
func QuotedNames(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
