package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/node/api"
)

// keepingInFolder installs mirror-fs in a home, for a folder that it makes.
func keepingInFolder(t *testing.T, home, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	ok(t, home, "plugin-install", "bundled:mirror-fs", "--memory", "4GiB")
	ok(t, home, "plugin-config", "mirror-fs", "folder="+folder)
	ok(t, home, "plugin-enable", "mirror-fs", "--grant", "files", "--path", folder)
}

// keptIn are the names of the blobs in a folder of mirror-fs, each of which has to be
// whole.
func keptIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it goes at this moment
			return nil
		}
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) == ".unfinished" || filepath.Dir(path) == folder { // the mark of the folder

			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if sum := sha256.Sum256(data); err == nil && hex.EncodeToString(sum[:]) != d.Name() {
			t.Errorf("%s has other bytes", path)
		}
		out[d.Name()] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mirrorsOf(t *testing.T, home string) (out []api.MirrorBoundInfo) {
	t.Helper()
	if err := json.Unmarshal([]byte(ok(t, home, "mirror-list", "--json")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// inTheEnd waits until something is so, for longer than any pause after a failure.
func inTheEnd(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(8 * time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A daemon fills a plugin by itself, says what fails, is killed in the middle and goes
// on, and takes away what a channel takes back, unless another has it.
func TestAMirrorPluginIsFilledByADaemonHoweverOftenThatIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, disk := filepath.Join(dir, "home"), filepath.Join(dir, "disk")
	shared, entry, manifest := filepath.Join(dir, "shared"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "manifest.json")
	noise(t, shared, 1000, 1)
	noise(t, filepath.Join(dir, "large"), 5<<20, 2)
	ok(t, home, "ingest", "-i", shared, "-o", entry)
	text, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	write(t, manifest, fmt.Appendf(nil, `{"entries":[%s]}`, text))
	var of struct{ Root struct{ ID string } }
	if err := json.Unmarshal(text, &of); err != nil {
		t.Fatal(err)
	}
	publish(t, home, "music", "-i", manifest)
	publish(t, home, "words", "-i", manifest)
	publish(t, home, "music", filepath.Join(dir, "large"), "--chunk-size", "64KiB", "--in-place")
	keepingInFolder(t, home, disk)
	write(t, filepath.Join(disk, ".unfinished"), nil) // nothing can be put
	ok(t, home, "mirror-add", "mirror-fs", "music")
	ok(t, home, "mirror-add", "mirror-fs", "words")

	daemon := start(t, home, "daemon")
	daemon.addr()
	inTheEnd(t, "what fails is said", func() bool { return strings.Contains(mirrorsOf(t, home)[0].Error, ".unfinished") })
	if out := ok(t, home, "status"); !strings.Contains(out, "mirror  ") || !strings.Contains(out, ".unfinished") {
		t.Errorf("status says nothing of it: %s", out)
	}
	daemon.kill()
	if err := os.Remove(filepath.Join(disk, ".unfinished")); err != nil {
		t.Fatal(err)
	}
	for _, blobs := range []int{1, 20, 40} {
		daemon = start(t, home, "daemon")
		inTheEnd(t, fmt.Sprintf("%d blobs are there", blobs), func() bool { return len(keptIn(t, disk)) >= blobs })
		daemon.kill()
	}
	daemon = start(t, home, "daemon")
	daemon.addr()
	inTheEnd(t, "nothing is owed", func() bool {
		for _, m := range mirrorsOf(t, home) {
			if m.Owed+m.Missing+m.Delete > 0 || m.There == 0 {
				return false
			}
		}
		return true
	})
	all := keptIn(t, disk)
	if len(all) < 80 || !all[of.Root.ID] {
		t.Errorf("%d blobs are there", len(all))
	}
	if m := mirrorsOf(t, home); m[0].Error+m[1].Error != "" || m[0].There+m[1].There <= int64(len(all)) {
		t.Errorf("%d blobs are there, %+v", len(all), m)
	}

	ok(t, home, "channel-retract", "music", "large", "shared", "--reason", "wrong")
	inTheEnd(t, "what is taken back is gone", func() bool { return len(keptIn(t, disk)) < 10 })
	if !keptIn(t, disk)[of.Root.ID] {
		t.Error("what another channel has was deleted")
	}
	ok(t, home, "channel-retract", "words", "shared", "--reason", "wrong")
	inTheEnd(t, "what no channel has is gone", func() bool { return !keptIn(t, disk)[of.Root.ID] })
}
