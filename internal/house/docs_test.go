package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A blank line splits a table: what follows is text.
func TestNoTableOfTheDocsIsSplit(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "../../README.md", "../../CHANNELS.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, fenced := strings.Split(string(data), "\n"), false
		for i, line := range lines {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			first := strings.HasPrefix(line, "|") && (i == 0 || !strings.HasPrefix(lines[i-1], "|"))
			if first && !fenced && (i+1 == len(lines) || !strings.HasPrefix(strings.ReplaceAll(lines[i+1], " ", ""), "|-")) {
				t.Errorf("%s:%d: a row of a table without its head: %.60s", file, i+1, line)
			}
		}
	}
}
