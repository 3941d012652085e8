package channel_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vectorFiles are all files of vectors that the second implementation reads.
func vectorFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, dir := range []string{"testdata/vectors", "gossip/testdata/vectors", "keyfile/testdata/vectors"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = data
		}
	}
	return files
}

// python returns a Python that is new enough, or skips.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine: the second implementation is not run")
	}
	if out, err := exec.Command(path, "-c", "import sys; sys.exit(sys.version_info < (3, 9))").CombinedOutput(); err != nil {
		t.Skipf("%s is older than 3.9, or does not run (%v): the second implementation is not run\n%s", path, err, out)
	}
	return path
}

// second runs the second implementation over files, and returns what it says
// and whether it agrees.
func second(t *testing.T, python string, files map[string][]byte) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/verify/verify.py", dir).CombinedOutput()
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// vectorsIn counts the vectors of a file: the items of an array, or of all
// arrays in an object.
func vectorsIn(t *testing.T, data []byte) int {
	t.Helper()
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil {
		return len(list)
	}
	var groups map[string][]json.RawMessage
	if err := json.Unmarshal(data, &groups); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range groups {
		n += len(g)
	}
	return n
}

var countRE = regexp.MustCompile(`(?m)^(\S+\.json) +(\d+) vectors, +(\d+) agree$`)

func TestASecondImplementationFromTheTextAloneAgreesOnEveryVector(t *testing.T) {
	t.Parallel()
	py := python(t)
	files := vectorFiles(t)
	out, ok := second(t, py, files)
	if !ok {
		t.Errorf("the second implementation disagrees:\n%s", out)
	}
	counted := make(map[string]int)
	for _, m := range countRE.FindAllStringSubmatch(out, -1) {
		counted[m[1]], _ = strconv.Atoi(m[3])
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if want := vectorsIn(t, files[name]); counted[name] != want || want == 0 {
			t.Errorf("%s has %d vectors, the second implementation agrees on %d", name, want, counted[name])
		}
	}
	t.Log(out)
}

func TestTheSecondImplementationSeesATamperedVector(t *testing.T) {
	t.Parallel()
	py := python(t)
	files := vectorFiles(t)
	// Each change is of another vector, so that one run shows them all: the first
	// old behind after becomes with.
	changes := []struct{ file, vector, after, old, with string }{
		{"keys.json", "root1", `"name": "root1"`, `"public": "63381620`, `"public": "63381621`},
		{"structures.json", "root3", `"name": "root3"`, `"title": "Radio Aurora"`, `"title": "Radio Aurorb"`},
		{"structures.json", "manifest1", `"name": "manifest1"`, `"payload": "a`, `"payload": "b`},
		{"structures.json", "head", `"name": "head"`, `"under": "root1"`, `"under": "root2"`},
		{"pages.json", "pages one manifest", `"name": "one manifest"`, `"place": 0`, `"place": 1`},
		{"pages.json", "refused another page", `"name": "another page"`, `"ErrChain"`, `"ErrMalformed"`},
		{"structures.json", "snapshot-private", `"name": "snapshot-private"`, `"count": 1`, `"count": 2`},
		{"bodies.json", "everything", `"name": "everything"`, `"size": 5368709120`, `"size": 5368709121`},
		{"texts.json", "topics 0", `"topics"`, `"key": "5b39fdf8`, `"key": "5b39fdf9`},
		{"texts.json", "names 1", `"names"`, `"movie.mkv"`, `"/movie.mkv"`},
		{"invalid.json", "signed-head: issued after the root expired", `"name": "signed-head: issued after`, `"ErrExpired"`, `"ErrChain"`},
		{"invalid.json", "name: climbing", `"name": "name: climbing"`, `"text": "a/../../b"`, `"text": "a/b"`},
		{"invalid.json", "mirror: /ip4", `"name": "mirror: /ip4"`, `"kind": "mirror"`, `"kind": "mirage"`},
		{"invalid.json", "hash: too long", `"name": "hash: too long"`, `"kind": "hash"`, `"kind": "hash", "more": ""`},
		{"private.json", "members ada", `"name": "ada"`, `"short": "6nos`, `"short": "6noa`},
		{"private.json", "keyrings keyring-epoch1", `"name": "keyring-epoch1"`, `"eve"`, `"bob"`},
		{"private.json", "sealed nothing", `"name": "nothing"`, `"plain": "a0"`, `"plain": "a1"`},
		{"private.json", "refused flipped bit in the tag", `"name": "flipped bit in the tag"`, `"ErrMalformed"`, `"ErrReadKey"`},
		{"keyfiles.json", "an id of one character", `"name": "an id of one character"`, `"plugin": "0"`, `"plugin": "1"`},
		{"keyfiles.json", "an id of 33", `"name": "an id of 33"`, `tttt`, `t`},
		{"wire.json", "message: one envelope", `"what": "one envelope"`, `"hex": "814101"`, `"hex": "81410102"`},
		{"wire.json", "message: nine envelopes", `"what": "nine envelopes"`, `"ErrLimit"`, `"ErrMalformed"`},
	}
	for _, c := range changes {
		before, rest, _ := bytes.Cut(files[c.file], []byte(c.after))
		if !bytes.Contains(rest, []byte(c.old)) {
			t.Fatalf("%s has no %s behind %s", c.file, c.old, c.after)
		}
		rest = bytes.Replace(rest, []byte(c.old), []byte(c.with), 1)
		files[c.file] = slices.Concat(before, []byte(c.after), rest)
	}
	files["sealed.json"] = []byte("[]")
	out, ok := second(t, py, files)
	if ok {
		t.Errorf("vectors were changed, and it agrees:\n%s", out)
	}
	for _, c := range changes {
		if !strings.Contains(out, "DISAGREE "+c.file+": "+c.vector+":") {
			t.Errorf("%s, %s was changed and nobody noticed:\n%s", c.file, c.vector, out)
		}
	}
	if !strings.Contains(out, "DISAGREE sealed.json:") {
		t.Errorf("a new file of vectors was not noticed:\n%s", out)
	}
	if got := strings.Count(out, "DISAGREE "); got != len(changes)+1 {
		t.Errorf("%d disagreements, want %d:\n%s", got, len(changes)+1, out)
	}
}

func TestTheSecondImplementationSeesAMissingFile(t *testing.T) {
	t.Parallel()
	py := python(t)
	files := vectorFiles(t)
	delete(files, "wire.json")
	if out, ok := second(t, py, files); ok || !strings.Contains(out, "DISAGREE wire.json:") {
		t.Errorf("a file of vectors was taken away and nobody noticed:\n%s", out)
	}
}
