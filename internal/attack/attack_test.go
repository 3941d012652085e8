package attack

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// asked are the attacks that design.md, section 7, asks to be tested, by the
// names that the threat model of CHANNELS.md gives them.
var asked = map[string]string{
	"arbitrary content": "", "wrong file": "", "rollback": "", "replay": "", "freeze": "", "withheld head": "",
	"mix-and-match": "", "fast-forward": "", "endless data": "", "slow mirror": "",
	"key theft (publishing)": "theft of a publishing key", "key theft (root)": "theft of root keys",
	"backdating": "", "equivocation": "", "spam by non-publishers": "", "sybil channels": "sybil channels on a topic",
	"subscription flood": "", "cross-protocol signature reuse": "", "parser differential": "", "downgrade": "", "hostile names": "",
}

// Each row of the threat model has a test of its name in this room, and each
// attack that has to be met is a row. A row of several attacks ("withheld head,
// withheld manifest") has one for each; what stands behind a colon explains.
func TestEveryAttackOfTheThreatModelHasATestOfItsName(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "CHANNELS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| attack | what is done today |")
	if !ok {
		t.Fatal("CHANNELS.md has no table of attacks")
	}
	rows := make(map[string]bool)
	for _, line := range strings.Split(table, "\n")[2:] {
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !ok || !strings.HasPrefix(line, "| ") {
			break
		}
		name, _, _ := strings.Cut(cell, ":")
		for part := range strings.SplitSeq(name, ", ") {
			rows[part] = true
		}
	}
	if len(rows) < 25 {
		t.Fatalf("the table has %d rows: this test reads it wrong", len(rows))
	}
	for name, row := range asked {
		if row == "" {
			row = name
		}
		if !rows[row] {
			t.Errorf("%q is no row of the threat model", name)
		}
	}
	tests := make(map[string]bool)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?m)^func Test(\w+)\(`)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(source, -1) {
			tests[strings.ToLower(string(m[1]))] = true
		}
	}
	for row := range rows {
		if !tests[letters(row)] {
			t.Errorf("no test is named for the attack %q", row)
		}
	}
}

// letters is what is left of a row when it is the name of a test.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}
