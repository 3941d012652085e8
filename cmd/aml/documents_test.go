package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A FileEntry comes from strangers: whatever its name or size says, nothing is
// written outside of the output, and nothing at all for one that is refused.
func TestHostileFileEntriesAreNamedAndWriteNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, file := filepath.Join(dir, "p"), filepath.Join(dir, "file")
	noise(t, file, 1000, 1)
	var entry map[string]any
	if err := json.Unmarshal([]byte(ok(t, home, "ingest", "-i", file)), &entry); err != nil {
		t.Fatal(err)
	}
	hostile := func(change func(map[string]any)) string {
		var e map[string]any
		raw, _ := json.Marshal(entry)
		_ = json.Unmarshal(raw, &e)
		change(e)
		raw, _ = json.Marshal([]any{e, e})
		path := filepath.Join(t.TempDir(), "hostile.json")
		write(t, path, raw)
		return path
	}
	name := func(n string) func(map[string]any) { return func(e map[string]any) { e["name"] = n } }
	out := filepath.Join(dir, "out")
	for what, change := range map[string]func(map[string]any){
		"parent":      name("../escaped"),
		"absolute":    name("/escaped"),
		"backslash":   name("..\\escaped"),
		"control":     name("a\x07b"),
		"bidi":        name("gpj.\u202exe"),
		"empty":       name(""),
		"two of one":  func(map[string]any) {},
		"depth":       func(e map[string]any) { e["depth"] = 200 },
		"huge size":   func(e map[string]any) { e["size"] = uint64(1) << 62 },
		"other size":  func(e map[string]any) { e["size"] = 999 },
		"no key":      func(e map[string]any) { e["root"] = map[string]any{} },
		"new version": func(e map[string]any) { e["version"] = 2 },
	} {
		path := hostile(change)
		code := 2
		if what == "other size" { // the entry contradicts what its blobs say
			code = 5
		}
		fails(t, code, home, []string{"blob-fetch", "-i", path, "-o", out, "--timeout", "2s"}, path)
		if _, err := os.Lstat(out); err == nil {
			t.Fatalf("%s: something was written", what)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
		t.Error("a name escaped")
	}
}

func TestDocumentsOverTheLimitsAreRefusedBeforeAnyWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	write(t, filepath.Join(dir, "file"), []byte("hello"))
	var entries []string
	for i := range 4097 {
		entries = append(entries, fmt.Sprintf(`{"path":"file","name":"%d.txt"}`, i))
	}
	many, large := filepath.Join(dir, "many.json"), filepath.Join(dir, "large.json")
	write(t, many, []byte(`{"entries":[`+strings.Join(entries, ",")+`]}`))
	write(t, large, []byte(`{"title":"`+strings.Repeat("x", 17<<20)+`"}`))
	fails(t, 2, home, []string{"channel-publish", "t", "-i", many, "--once"}, "4096")
	fails(t, 2, home, []string{"channel-publish", "t", "-i", large, "--once"}, large)
	fails(t, 2, home, []string{"blob-fetch", "-i", large, "-o", filepath.Join(dir, "out")}, large)
	if out := ok(t, home, "blob-status", "--json"); !strings.Contains(out, `"blobCount":0,`) {
		t.Errorf("something was sealed: %s", out)
	}
	if out := ok(t, home, "channel-list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("a channel was founded: %s", out)
	}
}
