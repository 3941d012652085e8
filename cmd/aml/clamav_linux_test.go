//go:build large

package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// What ClamAV says of a file counts: a real clamd with a signature of our own, asked
// by clamdscan from within the plugin's confines.
func TestWhatClamAVFindsIsNotWrittenAtFullSize(t *testing.T) {
	clamd := exec.Command("clamd")
	if _, err := exec.LookPath("clamdscan"); err != nil || clamd.Err != nil {
		t.Skip("ClamAV is not installed")
	}
	dir := t.TempDir()
	config, socket, signatures := filepath.Join(dir, "clamd.conf"), filepath.Join(dir, "s"), filepath.Join(dir, "signatures")
	files := filepath.Join(dir, "files")
	const bad = "this stands for something evil"
	for path, text := range map[string]string{
		filepath.Join(signatures, "own.ndb"): "Evil:0:*:" + hex.EncodeToString([]byte(bad)) + "\n",
		config:                               fmt.Sprintf("Foreground yes\nLocalSocket %s\nDatabaseDirectory %s\nTemporaryDirectory %s\n", socket, signatures, dir),
		filepath.Join(files, "good.txt"):     "la la",
		filepath.Join(files, "bad.txt"):      "la la " + bad,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clamd.Args = append(clamd.Args, "-c", config)
	clamd.Stderr = os.Stderr
	if err := clamd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = clamd.Process.Kill(); _ = clamd.Wait() }()
	until(t, "clamd to listen", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})

	owner, reader, out := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "out")
	address := publish(t, owner, "music/live", files)
	peer := start(t, owner, "daemon").addr()
	ok(t, reader, "plugin-install", "bundled:scan", "--memory=4GiB")
	ok(t, reader, "plugin-config", "scan", "command=clamdscan --config-file="+config+" --no-summary -")
	ok(t, reader, "plugin-enable", "scan", "--grant", "all")
	ok(t, reader, "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
	var got []string
	for name := range tree(t, out) {
		got = append(got, filepath.Base(name))
	}
	if !slices.Equal(got, []string{"good.txt"}) {
		t.Errorf("written were %v\n%s", got, ok(t, reader, "plugin-logs", "scan"))
	}
}
