package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A home whose disk has not a byte of room can be looked at, served from and
// made room in, whether the process before it ended well or was killed.
func TestAHomeOnADiskWithoutAByteOfRoomServesAndMakesRoom(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "closed", true: "killed"}[killed], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			small := smallDisk(t, dir, "64m")
			home, seed := filepath.Join(small, "home"), filepath.Join(dir, "p")
			all := []string{"--set", "minfree=0"}
			file, entry := ingested(t, seed, 8<<20)
			other, otherEntry := filepath.Join(dir, "other"), filepath.Join(dir, "other.json")
			noise(t, other, 4<<20, 4)
			with := func(args ...string) []string { return append(args, all...) }
			ok(t, home, with("ingest", "-i", other, "-o", otherEntry)...) // pinned
			daemon := start(t, home, with("daemon")...)
			daemon.addr()
			ok(t, home, "blob-import", "-i", export(t, seed, entry, filepath.Join(dir, "blobs.tar"))) // not pinned
			if !killed {
				daemon.interrupt()
			}
			ballast := filepath.Join(small, "ballast")
			fill(t, ballast, 0)
			if killed {
				daemon.kill()
			}
			brimful(t, small)

			var stats struct{ Count int64 }
			out := ok(t, home, with("blob-status", "--json")...)
			if err := json.Unmarshal([]byte(out), &stats); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(ok(t, home, with("blob-list")...), "\n"); n != 9+5 {
				t.Errorf("%d blobs are listed, want 14; blob-status says %s", n, out)
			}
			brimful(t, small) // what those gave back
			daemon = start(t, home, with("daemon")...)
			peer := daemon.addr()
			if !statusOf(t, home).Blobs.ServeOnly {
				t.Error("status does not say that the disk is full")
			}
			for i, e := range []string{entry, otherEntry} {
				got := filepath.Join(dir, "out") + e[len(e)-6:len(e)-5]
				ok(t, filepath.Join(dir, "f"), "blob-fetch", "-i", e, "-o", got, "--peer", peer)
				sameFile(t, got, []string{file, other}[i])
			}
			daemon.interrupt()

			ok(t, home, with("blob-gc")...)
			if n := strings.Count(ok(t, home, with("blob-list")...), "\n"); n != 5 {
				t.Errorf("after blob-gc %d blobs are listed, want the 5 that are pinned", n)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			ok(t, home, with("blob-import", "-i", filepath.Join(dir, "blobs.tar"))...)
			if s := scrub(t, home, all...); s.Rotten+s.Missing != 0 || s.Blobs != 14 {
				t.Errorf("afterwards a scrub finds %+v, want 14 good blobs", s)
			}
		})
	}
}

// brimful writes to a disk until it takes no byte more.
func brimful(t *testing.T, disk string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(disk, "brim"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
