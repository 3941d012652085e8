package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

func TestAFullDiskIsNamedAndTheFetchGoesOnLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := smallDisk(t, dir, "12m")

	file, entry := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json")
	const size = 16 << 20
	noise(t, file, size, 1)

	// The store's disk is full: nothing is reported done, and the home is whole.
	home := filepath.Join(small, "home")
	fails(t, 1, home, []string{"ingest", "-i", file, "-o", entry, "--set", "minfree=0"}, "full")
	if _, err := os.Stat(entry); err == nil {
		t.Error("an entry was written for a file that is not stored")
	}
	fails(t, 1, home, []string{"channel-publish", "data", file, "--once", "--set", "minfree=0"}, "full")
	if out := ok(t, home, "channel-list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("a channel was founded without its release: %s", out)
	}
	smalldisk.Resize(t, small, "64m")
	ok(t, home, "ingest", "-i", file, "-o", entry, "--set", "minfree=0")

	// The output's disk is full: nothing stands under the final name, and the
	// next run has not to fetch again what the store kept.
	seeder := start(t, home, "blob-seed", "-i", entry, "--set", "minfree=0")
	other, out := filepath.Join(dir, "other"), filepath.Join(small, "out")
	fetch := []string{"blob-fetch", "-i", entry, "-o", out, "--peer", seeder.addr(), "--json"}
	ballast := filepath.Join(small, "ballast")
	fill(t, ballast, 8<<20)
	fails(t, 1, other, fetch, "space")
	if _, err := os.Stat(out); err == nil {
		t.Error("a half file stands under its final name")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	ok(t, other, fetch...)
	if sums := tree(t, dir); sums["small/out"] != sums["film"] {
		t.Error("the fetched file differs")
	}
}

// fill writes path until only free bytes are left on its disk.
func fill(t *testing.T, path string, free uint64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		t.Fatal(err)
	}
	write(t, path, make([]byte, st.Bavail*uint64(st.Bsize)-free))
}

// An output folder that may not be written to is named before anything is
// fetched.
func TestAnOutputFolderWithoutPermissionIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	noise(t, file, 1000, 1)
	address := publish(t, filepath.Join(dir, "p"), "data", file)
	locked, home := filepath.Join(dir, "locked"), filepath.Join(dir, "s")
	for _, d := range []string{locked, home} {
		if err := os.Mkdir(d, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), home, "channel-subscribe", address, "-o", filepath.Join(locked, "out"), "--once", "--timeout", "5s")
	if os.Getuid() == 0 { // root may write anywhere: become nobody
		const nobody = 65534
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		openTo(t, dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		program := filepath.Join(dir, "aml")
		copyFile(t, program, os.Args[0])
		cmd.Path, cmd.Dir = program, dir
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(errs.String(), "locked") || !strings.Contains(errs.String(), "permission") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

// openTo lets others pass through the folders above dir.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(t *testing.T, dst, src string) {
	t.Helper()
	if out, err := exec.Command("cp", src, dst).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(dst, 0o755); err != nil {
		t.Fatal(err)
	}
}
