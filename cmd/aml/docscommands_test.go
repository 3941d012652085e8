//go:build large && unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commandsOf are the blocks of commands below a heading of a document, as written.
func commandsOf(t *testing.T, doc, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", doc))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut("\n"+string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", doc, heading)
	}
	var blocks []string
	for part := range strings.SplitSeq(section, "\n\n") {
		part = strings.TrimLeft(part, "\n")
		if strings.HasPrefix(part, "#") {
			break
		}
		if strings.HasPrefix(part, "    ") && strings.Contains(part, "aml ") {
			blocks = append(blocks, part)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s, %q: no commands", doc, heading)
	}
	return blocks
}

// shell is a home, a folder and an aml in PATH, which gives plugin-test the time that a
// busy machine needs.
type shell struct {
	dir string
	env []string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	dir := t.TempDir()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	aml := filepath.Join(dir, "bin", "aml")
	write(t, aml, fmt.Appendf(nil, "#!/bin/sh\n[ \"$1\" != plugin-test ] || set -- \"$@\" --slow 100\nexport %s=1\nexec '%s' \"$@\"\n", asProgram, self))
	if err := os.Chmod(aml, 0o755); err != nil {
		t.Fatal(err)
	}
	return &shell{dir, append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "AML_HOME="+filepath.Join(dir, "home"),
		"AML_LAN=false", "AML_DHT=false", "AML_LISTEN=/ip4/127.0.0.1/tcp/0")}
}

// run runs lines as a shell does, and ends at the first that fails.
func (s *shell) run(t *testing.T, lines string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", lines)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, lines, out)
	}
	return string(out)
}

// The first block of docs/plugins.md, and the one for Python, with the folder of aml's
// source where they say FOLDER.
func TestTheCommandsForAuthorsRunAsWrittenAtFullSize(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("in five minutes", func(t *testing.T) {
		s := newShell(t)
		if out, err := exec.Command("go", "env", "GOPROXY").Output(); err != nil || strings.TrimSpace(string(out)) == "off" {
			t.Skipf("go mod tidy needs a proxy: %s, %v", out, err)
		}
		s.run(t, strings.ReplaceAll(commandsOf(t, "plugins.md", "## In five minutes")[0], "FOLDER", root))
		if out := s.run(t, "aml plugin-list"); !strings.Contains(out, "no-dogs") {
			t.Errorf("it is not installed: %s", out)
		}
	})
	t.Run("the example", func(t *testing.T) {
		s := newShell(t)
		s.run(t, "ln -s '"+root+"'/go.mod '"+root+"'/go.sum . && cp -r '"+root+"'/plugins . && for d in '"+root+"'/*/; do n=$(basename \"$d\"); [ -e $n ] || ln -s \"$d\" $n; done")
		s.run(t, commandsOf(t, "plugins.md", "## In five minutes")[1])
	})
	t.Run("in Python", func(t *testing.T) {
		if out, err := exec.Command("/usr/bin/env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "python3", "-c", "import grpc, google.protobuf, cryptography").CombinedOutput(); err != nil {
			t.Skipf("grpcio is not installed for all: %s", out)
		}
		s := newShell(t) // with the Python that a plugin has
		s.env = append(s.env, "PATH="+filepath.Join(s.dir, "bin")+":/usr/local/bin:/usr/bin:/bin")
		s.run(t, commandsOf(t, "plugins.md", "## In Python")[0])
	})
}

// The blocks of docs/operators.md about bundled plugins, each in a home of its own that
// has what they speak of.
func TestTheCommandsForOperatorsRunAsWrittenAtFullSize(t *testing.T) {
	for heading, without := range map[string]string{
		"### blocklist": "", "### scan": "", "### podcast": "", "### webhook": "", "### exec": "", "### mirror-fs": "", "### updates": "", "### mirror-s3": "mirror-add", // which wants a server
		"## What a plugin keeps of a channel": "",
	} {
		t.Run(strings.TrimLeft(heading, "# "), func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			at := func(name string) string { return filepath.Join(s.dir, name) }
			write(t, at("song.ogg"), []byte("OggS"))
			for name, text := range map[string]string{"rules.txt": "name *.exe\n", "secret.txt": "0123456789abcdef\n", "srv/lists/one": "name *.scr\n", "mnt/disk/.keep": "", "etc/aml/s3.key": "aws_access_key_id = a\naws_secret_access_key = b\n", "srv/www/talk/.keep": "", "srv/www/app/.keep": "", "srv/episodes/.keep": ""} {
				write(t, at(name), []byte(text))
			}
			if err := errors.Join(os.Chmod(at("etc/aml/s3.key"), 0o600), os.Chmod(at("secret.txt"), 0o600)); err != nil {
				t.Fatal(err)
			}
			s.run(t, "aml channel-publish music/live song.ogg --once && aml channel-create radio/talk && aml channel-create soft/app --kind update")
			address := publish(t, at("home"), "soft/other", at("song.ogg"))
			if heading == "## What a plugin keeps of a channel" { // it goes on from the one on mirror-fs
				s.run(t, "aml plugin-install bundled:mirror-fs && aml plugin-config mirror-fs folder="+at("mnt/disk")+" && aml plugin-enable mirror-fs --grant files --path "+at("mnt/disk"))
			}
			ran := 0
			for _, block := range commandsOf(t, "operators.md", heading) {
				block = strings.NewReplacer("/srv/", at("srv")+"/", "/mnt/", at("mnt")+"/", "/etc/aml/", at("etc/aml")+"/", "aml://...", address).Replace(block)
				var lines []string
				for line := range strings.SplitSeq(block, "\n") {
					if without == "" || !strings.Contains(line, without) {
						lines = append(lines, line)
						ran++
					}
				}
				s.run(t, strings.Join(lines, "\n"))
			}
			t.Logf("%d commands", ran)
		})
	}
}
