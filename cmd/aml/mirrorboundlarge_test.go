//go:build large && linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

// A disk that cannot be written to for a while, and one that is full, is filled when it
// is well again, by a daemon and without any command; what was taken back meanwhile goes.
func TestAMirrorPluginIsFilledAfterTroubleWithoutACommandAtFullSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(filepath.Join(dir, "disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	disk := smalldisk.Mount(t, filepath.Join(dir, "disk"), "4m")
	noise(t, filepath.Join(dir, "large"), 16<<20, 1)
	noise(t, filepath.Join(dir, "wrong"), 1<<20, 2)
	publish(t, home, "music", filepath.Join(dir, "wrong"), "--chunk-size", "64KiB")
	keepingInFolder(t, home, disk)
	ok(t, home, "mirror-add", "mirror-fs", "music")
	daemon := start(t, home, "daemon")
	daemon.addr()
	settled := func() bool {
		m := mirrorsOf(t, home)[0]
		return m.Owed+m.Delete+m.Missing == 0 && m.There > 0 && m.Error == ""
	}
	inTheEnd(t, "the first release is there", settled)
	first := len(keptIn(t, disk))

	ok(t, home, "channel-publish", "music", filepath.Join(dir, "large"), "--chunk-size", "64KiB", "--once")
	inTheEnd(t, "the disk is full", func() bool {
		m := mirrorsOf(t, home)[0]
		return m.Rests && strings.Contains(m.Error, "make room there")
	})
	smalldisk.Resize(t, disk, "64m")
	inTheEnd(t, "all is there", settled)
	if got := len(keptIn(t, disk)); got < first+256 {
		t.Errorf("%d blobs are there, %d were", got, first)
	}

	// The whole folder is away: nothing is taken for deleted.
	aside := filepath.Join(disk, "aside")
	if err := os.Mkdir(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	blocked := map[string]bool{}
	for id := range keptIn(t, disk) {
		blocked[id[:2]] = true
	}
	for two := range blocked { // files stand where the folders are
		if err := os.Rename(filepath.Join(disk, two), filepath.Join(aside, two)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(disk, two), nil)
	}
	ok(t, home, "channel-retract", "music", "wrong", "--reason", "wrong")
	inTheEnd(t, "what is to be deleted fails", func() bool { m := mirrorsOf(t, home)[0]; return m.Delete > 0 && m.Error != "" })
	for two := range blocked {
		if err := os.Remove(filepath.Join(disk, two)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(aside, two), filepath.Join(disk, two)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(aside); err != nil {
		t.Fatal(err)
	}
	inTheEnd(t, "what was taken back is gone", func() bool { return settled() && len(keptIn(t, disk)) < 256+10 })
}
