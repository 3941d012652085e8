package natsbridge

import (
	"errors"
	"testing"
)

func TestMembersOfAGroupHearEachOtherAndNobodyElse(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	heard := make(chan string, 10)
	var groups []*Group
	for _, name := range []string{"one", "one", "two"} {
		g, err := dialTest(t, url).Group(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.c.nc.Flush(); err != nil { // the server knows who listens
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		groups = append(groups, g)
	}
	go groups[1].Hear(t.Context().Done(), func(data []byte) { heard <- string(data) })
	for i, words := range []string{"a", "of one's own", "of another group", "b"} {
		if err := groups[[]int{0, 1, 2, 0}[i]].Say([]byte(words)); err != nil {
			t.Fatal(err)
		}
		if err := groups[[]int{0, 1, 2, 0}[i]].c.nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a", "b"} {
		if got := <-heard; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	if err := groups[0].Say(make([]byte, MaxMessage+1)); err == nil {
		t.Error("a message over the limit was sent")
	}
	for _, name := range []string{"", "a.b", "*", "A"} {
		if _, err := groups[0].c.Group(name); !errors.Is(err, ErrConfig) {
			t.Errorf("group %q: %v", name, err)
		}
	}
}
