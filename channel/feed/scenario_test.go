package feed

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the machine decides into testdata/*.txt")

// TestScenarios replays testdata/*.txt. In such a file, lines that begin with
// "> " are what came out; all others are comments, blank, or commands (see
// world.run). Run with -update to rewrite the outcomes, and review the diff.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: outcomes differ (rewrite with -update and review)\n%s", file, diff(string(want), got))
			}
			if again := replay(t, string(want)); again != got {
				t.Error("a second replay differs from the first")
			}
		})
	}
}

// replay runs the commands of a scenario and returns it with what came out.
func replay(t *testing.T, scenario string) string {
	w := newWorld(t)
	var out bytes.Buffer
	for i, line := range strings.Split(strings.TrimSuffix(scenario, "\n"), "\n") {
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&out, line)
		w.line = i + 1
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" || line[0] == '#' {
			continue
		}
		for _, said := range w.run(fields[0], fields[1:]) {
			fmt.Fprintln(&out, ">", said)
		}
	}
	return out.String()
}

// diff shows the lines around the first difference.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			from := max(0, i-5)
			return "want:\n" + strings.Join(a[from:min(len(a), i+5)], "\n") + "\ngot:\n" + strings.Join(b[from:min(len(b), i+5)], "\n")
		}
	}
	return "got more:\n" + strings.Join(b[len(a):], "\n")
}
