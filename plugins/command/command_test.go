package command

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, text string) Command {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Skip(err) // this system has no such program
	}
	return c
}

func TestACommandGetsWhatIsHandedOverAndItsCodeComesBack(t *testing.T) {
	temp := t.TempDir()
	for text, want := range map[string]Result{
		"cat":            {0, "hello world"},
		"cat {}":         {0, "hello world"},
		"false":          {1, ""},
		"printenv EXTRA": {0, "1"},
		"ls {}x {}":      {2, "{}x"}, // a mark is a whole word, and the first alone
	} {
		res, err := parse(t, text).Run(context.Background(), time.Minute, strings.NewReader("hello\x1b[2J\nworld"), temp, "EXTRA=1")
		if err != nil || res.Code != want.Code || !strings.Contains(strings.ReplaceAll(res.Output, "?[2J", ""), want.Output) {
			t.Errorf("%s: %+v, %v, want %+v", text, res, err, want)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

func TestACommandThatDoesNotReadOrEndIsNoHang(t *testing.T) {
	res, err := parse(t, "true").Run(context.Background(), time.Minute, strings.NewReader(strings.Repeat("x", 8<<20)), "")
	if err != nil || res.Code != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	if _, err := parse(t, "sleep 1000000").Run(context.Background(), time.Millisecond, nil, ""); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("got %v", err)
	}
	if _, err := Parse("  "); err == nil {
		t.Error("an empty command was taken")
	}
	if _, err := Parse("no-such-program-here"); err == nil {
		t.Error("a missing program was taken")
	}
	if _, err := exec.LookPath("yes"); err == nil {
		res, err := parse(t, "yes").Run(context.Background(), 50*time.Millisecond, nil, "")
		if err == nil || len(res.Output) > 200 {
			t.Errorf("got %d bytes, %v", len(res.Output), err)
		}
	}
}
