package channel

import (
	"reflect"
	"strings"
	"testing"
)

// Names that a hurried reader takes for one another are told in groups; one name of
// several keys is no such thing, nor is one of signs alone.
func TestNamesOfPublishersThatLookAlikeAreFound(t *testing.T) {
	t.Parallel()
	names := []string{"Ann", "Аnn", "ANN", "Ann", "Ben", "", "!!", "??", "Веn", "Cem"}
	r := Root{}
	for i, n := range names {
		r.Publishers = append(r.Publishers, Publisher{Key: PublicKey{byte(i)}, Role: RoleHead, Name: n})
	}
	want := [][]string{{"ANN", "Ann", "Аnn"}, {"Ben", "Веn"}}
	if got := r.AlikeNames(); !reflect.DeepEqual(got, want) {
		t.Errorf("alike are %q, want %q", got, want)
	}
	var c changes
	c.sameNames(r)
	if said := strings.Join(c, "\n"); !strings.Contains(said, `both called "Ann"`) || !strings.Contains(said, `the names "ANN", "Ann", "Аnn" look alike`) {
		t.Errorf("who signs is told %s", said)
	}
	if got := QuotedNames([]string{"a", `b", "c`}); got != `"a", "b\", \"c"` {
		t.Errorf("quoted: %s", got)
	}
}
