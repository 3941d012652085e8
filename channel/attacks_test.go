package channel

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryAttackHasATestOfItsName: whoever asks how an attack of the threat
// model is met finds it by its name, in the suites of this package and those
// below it: as a test, a scenario of channel/feed or an invalid vector.
func TestEveryAttackHasATestOfItsName(t *testing.T) {
	var names []string
	files := must(filepath.Glob("*_test.go"))(t)
	files = append(files, must(filepath.Glob("*/*_test.go"))(t)...)
	function := regexp.MustCompile(`(?m)^func Test(\w+)\(`)
	for _, file := range files {
		for _, m := range function.FindAllSubmatch(must(os.ReadFile(file))(t), -1) {
			names = append(names, string(m[1]))
		}
	}
	for _, file := range must(filepath.Glob("feed/testdata/*.txt"))(t) {
		names = append(names, filepath.Base(file))
	}
	for _, v := range readVectors[[]invalidVector](t, "invalid") {
		names = append(names, v.Name)
	}
	all := letters(strings.Join(names, "\n"))
	for _, attack := range []string{
		"arbitrary content", "wrong file", "rollback", "replay", "freeze", "withheld head", "mix-and-match", "fast-forward", "endless data",
		"slow mirror", "key theft", "root key theft", "backdating", "equivocation", "spam by non-publishers", "flood by a publisher",
		"sybil channels", "subscription flood", "cross-protocol signature reuse", "parser differential", "downgrade", "hostile names",
	} {
		if !strings.Contains(all, letters(attack)) {
			t.Errorf("no test is named for the attack %q", attack)
		}
	}
}

// letters returns what is left of names when case and what separates words is
// dropped.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// TestDowngradeTheFormatIsInsideWhatIsSigned: nobody can pass a payload off as
// one of another format version, and its signer cannot make one that this
// version reads by older rules.
func TestDowngradeTheFormatIsInsideWhatIsSigned(t *testing.T) {
	for typ, payload := range map[string][]byte{
		TypeRoot: mustEncode(testRoot()), TypeManifest: mustEncode(testManifest()), TypeHead: mustEncode(testHead()),
	} {
		if payload[1] != 1 || payload[2] != 1 {
			t.Fatalf("%s does not begin with its format: %x", typ, payload[:3])
		}
		for _, format := range []byte{0, 2, 23} {
			other := bytes.Clone(payload)
			other[2] = format
			moved := rawSign(typ, payload, "publisher1")
			moved.Payload = other
			if err := moved.Verify(); !errors.Is(err, ErrSignature) {
				t.Errorf("%s moved to format %d: %v", typ, format, err)
			}
			signed := rawSign(typ, other, "publisher1")
			_, err := OpenRoot(signed)
			switch typ {
			case TypeManifest:
				_, err = OpenManifest(signed)
			case TypeHead:
				_, err = OpenHead(signed)
			}
			if !errors.Is(err, ErrVersion) {
				t.Errorf("%s signed as format %d: %v", typ, format, err)
			}
		}
	}
}
