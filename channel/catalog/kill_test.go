package catalog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

const killReleases = 300

// TestKilledAtAnyMoment kills a process in the midst of its offers, again and
// again, and opens what it left: a prefix of the log with exactly its view, and
// nothing missing that had been reported done.
func TestKilledAtAnyMoment(t *testing.T) {
	if path := os.Getenv("AML_TEST_CATALOG"); path != "" {
		killChild(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "aml.db")
	ch := channeltest.NewChannel(t, "alice")
	done := uint64(0)
	for round := 0; done < killReleases; round++ {
		if round > 100 {
			t.Fatal("no end")
		}
		done = killRound(t, path, done, 5+round*2)
		c := open(t, path)
		i := info(t, c, ch.ID)
		if i.Releases < int64(done) {
			t.Fatalf("round %d: %d releases were reported done, %d are there", round, done, i.Releases)
		}
		if i.Entries != 2*i.Releases {
			t.Fatalf("round %d: %d releases, %d entries", round, i.Releases, i.Entries)
		}
		seen := int64(0)
		for after := int64(0); ; {
			rel, err := c.Releases(t.Context(), ch.ID, after, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(rel) == 0 {
				break
			}
			for _, r := range rel {
				seen++
				if r.Seq != uint64(seen) {
					t.Fatalf("round %d: release %d at place %d", round, r.Seq, seen)
				}
				after = r.Position
			}
		}
		if seen != i.Releases {
			t.Fatalf("round %d: %d releases, counted %d", round, seen, i.Releases)
		}
		done = uint64(i.Releases)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killRound runs a child, kills it after it has reported some releases, and
// returns the newest that it reported.
func killRound(t *testing.T, path string, done uint64, reports int) uint64 {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledAtAnyMoment$")
	cmd.Env = append(os.Environ(), "AML_TEST_CATALOG="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < reports && lines.Scan(); n++ {
		var seq uint64
		if _, err := fmt.Sscanf(lines.Text(), "done %d", &seq); err == nil {
			done = max(done, seq)
		}
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	for lines.Scan() { // what it said before it died counts as well
		var seq uint64
		if _, err := fmt.Sscanf(lines.Text(), "done %d", &seq); err == nil {
			done = max(done, seq)
		}
	}
	_ = cmd.Wait() // killed
	return done
}

// killChild goes on with the channel from where the file is, sometimes by one
// and sometimes by many, and reports each when it is done.
func killChild(t *testing.T, path string) {
	ch := channeltest.NewChannel(t, "alice")
	c := open(t, path)
	if err := c.Expect(t.Context(), ch.ID, Followed); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Offer(t.Context(), ch.Envelope); err != nil {
		t.Fatal(err)
	}
	have := uint64(info(t, c, ch.ID).Releases)
	var batch [][]byte
	for i := range killReleases {
		m := ch.Files(fmt.Sprintf("a %d", i), fmt.Sprintf("b %d", i))
		if ch.Seq <= have {
			continue
		}
		batch = append(batch, m)
		if i%3 != 0 && i != killReleases-1 && len(batch) < 20 {
			continue
		}
		out, err := c.OfferAll(t.Context(), batch)
		if err != nil || out[len(out)-1].Verdict != feed.Accepted {
			t.Fatalf("release %d: %v, %v", ch.Seq, out, err)
		}
		batch = nil
		fmt.Fprintf(os.Stdout, "done %d\n", ch.Seq)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
