package plugins

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTheDocumentedHooksAreThoseOfTheTable holds docs/plugins.md against Rules.
func TestTheDocumentedHooksAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "<!-- hooks -->\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if !ok || len(rows) != 2+len(Rules()) {
		t.Fatalf("the table has %d rows, want 2 and %d", len(rows), len(Rules()))
	}
	failures := map[Failure]string{
		Open: "open", Closed: "closed", ClosedOnUpdate: "closed in channels of kind `update`, else open",
		Backoff: "tried again later", Retry: "tried again later", LastGood: "the last good one stays",
	}
	for i, r := range Rules() {
		cells := strings.Split(strings.Trim(rows[2+i], "|"), "|")
		deadline := "none"
		switch {
		case r.Deadline > 0 && r.Deadline.Milliseconds()%1000 != 0:
			deadline = fmt.Sprintf("%d ms", r.Deadline.Milliseconds())
		case r.Deadline > 0:
			deadline = fmt.Sprintf("%d s", int(r.Deadline.Seconds()))
		}
		if r.Idle {
			deadline += " between messages"
		}
		if r.PerMiB > 0 {
			deadline += fmt.Sprintf(" and %d s for each MiB", int(r.PerMiB.Seconds()))
		}
		needs := ""
		for _, c := range r.Needs {
			needs += string(c)
		}
		for cell, want := range map[int]string{0: string(r.Hook), 2: failures[r.Failure], 3: deadline, 4: needs} {
			if got := strings.TrimSpace(cells[cell]); got != want {
				t.Errorf("%s: %q, want %q", r.Hook, got, want)
			}
		}
	}
}
