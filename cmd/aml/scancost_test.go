//go:build large

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What ScanContent costs a subscriber: the same file of 256 MiB is subscribed to, in turn
// without a plugin and with one that only reads what it is shown, and ingested. It prints
// the medians, their ratio, and how much of an ingestion the difference is, and holds
// nothing against a slow machine:
//
//	go test -tags large -run ScanContentCosts -v ./cmd/aml
func TestWhatScanContentCostsASubscriberAtFullSize(t *testing.T) {
	const size, runs = 256 << 20, 5
	dir := t.TempDir()
	noise(t, filepath.Join(dir, "film"), size, 1)
	owner, plugin := filepath.Join(dir, "p"), filepath.Join(dir, "reader")
	address := publish(t, owner, "data", filepath.Join(dir, "film"))
	peer := start(t, owner, "daemon").addr()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(plugin, "plugin"), self)
	if err := os.Chmod(filepath.Join(plugin, "plugin"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(plugin, "plugin.yaml"), []byte("format: 1\nid: reader\nversion: 1.0.0\nhooks: [ScanContent]\ncapabilities: [plaintext]\nbinaries: {any: plugin}\nargs: [be-a-plugin, reader]\nmemory: 2GiB\n"))

	const without, with, ingested = 0, 1, 2
	var wall, cpu [3][]time.Duration
	for range runs {
		for what := range 3 {
			home, out := t.TempDir(), t.TempDir()
			if what == with {
				ok(t, home, "plugin-install", plugin, "--grant", "all", "--enable")
			}
			args := []string{"channel-subscribe", address, "-o", out, "--peer", peer, "--once"}
			if what == ingested {
				args = []string{"ingest", "-i", filepath.Join(dir, "film"), "-o", filepath.Join(out, "entry.json")}
			}
			cmd := command(context.Background(), home, args...)
			began := time.Now()
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			wall[what] = append(wall[what], time.Since(began))
			cpu[what] = append(cpu[what], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			for _, d := range []string{home, out} { // each has the file once
				if err := os.RemoveAll(d); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	median := func(list []time.Duration) time.Duration { slices.Sort(list); return list[len(list)/2] }
	for what, of := range map[string][3][]time.Duration{"time": wall, "processor time of the node": cpu} {
		a, b, c := median(of[without]), median(of[with]), median(of[ingested])
		t.Logf("%s, median of %d: %v without, %v with ScanContent: ratio %.2f; ingested in %v, of which the difference is %.2f", what, runs,
			a.Round(time.Millisecond), b.Round(time.Millisecond), float64(b)/float64(a), c.Round(time.Millisecond), float64(b-a)/float64(c))
	}
}
