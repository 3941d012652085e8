package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/config"
)

func TestTheFileOfRootsIsWrittenAnewWhenMostOfItIsSaidTwice(t *testing.T) {
	n := &Node{cfg: Config{Config: config.Config{Paths: config.Paths{Roots: filepath.Join(t.TempDir(), "roots")}}}}
	want := []blobnet.ID{blobnet.Sum([]byte("one")), blobnet.Sum([]byte("two"))}
	for range 50 {
		n.noteRoots(t.Context(), want...)
	}
	if err := n.appendRoots([]byte("cut sho")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second reads what the first wrote
		if ids, err := n.tidyRoots(t.Context()); err != nil || !slices.Equal(ids, want) {
			t.Fatalf("%v %v, want %v", ids, err, want)
		}
	}
	text, err := os.ReadFile(n.cfg.Paths.Roots)
	if lines := strings.Count(string(text), "\n"); err != nil || lines != len(want) {
		t.Errorf("the file has %d lines, want %d; %v", lines, len(want), err)
	}
}
