package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatFailsIsListedAndTheRestIsNot(t *testing.T) {
	n := &Node{}
	n.sources.bindings = bindings[SourceInfo]{read: true, list: []SourceInfo{
		{SourceSpec: SourceSpec{Name: "good"}}, {SourceSpec: SourceSpec{Name: "away", Plugin: "podcast"}, Error: "no answer", Fails: 3, Problem: "x"},
		{SourceSpec: SourceSpec{Name: "half"}, Problem: "a name is too long"},
	}}
	n.documents = bindings[DocumentInfo]{read: true, list: []DocumentInfo{{DocumentSpec: DocumentSpec{Output: "/a.xml"}}, {DocumentSpec: DocumentSpec{Output: "/b.xml"}, Error: "late"}}}
	n.filling.bindings.read = true
	var got []string
	for _, f := range n.failing(t.Context()) {
		got = append(got, f.Kind+" "+f.Name+": "+f.Error)
	}
	if want := "source away: no answer; source half: not published: a name is too long; document /b.xml: late"; strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %s", got, want)
	}

	broken := filepath.Join(t.TempDir(), "sources.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.sources.bindings = bindings[SourceInfo]{path: broken}
	if got := n.failing(t.Context()); len(got) != 2 || !strings.Contains(got[0].Error, "mend it") {
		t.Errorf("a list that cannot be read: %+v", got)
	}
}
