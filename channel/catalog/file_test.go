package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// A file that is not ours, or not sound, is named, left as it is, and the
// message says what to do.
func TestForeignAndDamagedFilesAreNamedAndLeftAlone(t *testing.T) {
	tests := map[string]func(t *testing.T, path string){
		"text": func(t *testing.T, path string) {
			write(t, path, []byte("these are my notes, not a database"))
		},
		"a few bytes": func(t *testing.T, path string) { write(t, path, []byte("SQL")) },
		"another program's database": func(t *testing.T, path string) {
			exec1(t, path, "CREATE TABLE theirs (a)")
		},
		"newer schema": func(t *testing.T, path string) {
			open(t, path).Close()
			exec1(t, path, "PRAGMA user_version = 99")
		},
		"cut off": func(t *testing.T, path string) {
			filled(t, path)
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten in the middle": func(t *testing.T, path string) {
			filled(t, path)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			copy(data[4096:], strings.Repeat("garbage ", 2048))
			write(t, path, data)
		},
		"a folder": func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "aml.db")
			make(t, path)
			before, _ := os.ReadFile(path) // a folder cannot be read
			c, err := Open(t.Context(), Config{Path: path, Now: clock})
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, ErrForeignFile) || !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			if !strings.Contains(err.Error(), "backup") && !strings.Contains(err.Error(), "update aml") {
				t.Errorf("the error names no remedy: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exec1(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// filled makes a catalogue of some pages, and closes it.
func filled(t *testing.T, path string) {
	t.Helper()
	ch := channeltest.NewChannel(t, "alice")
	c := open(t, path)
	follow(t, c, ch)
	for i := range 50 {
		offer(t, c, ch.Files(fmt.Sprint("file ", i)), feed.Accepted)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCatalogueIsReadableByItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	follow(t, c, channeltest.NewChannel(t, "alice"))
	for _, p := range []string{path, path + "-wal"} {
		fi, err := os.Stat(p)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p, fi, err)
		}
	}
}

func TestUnwritableFolderIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "aml.db")
	if _, err := Open(t.Context(), Config{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error: %v", err)
	}
}

func TestClosedCatalogueSaysSo(t *testing.T) {
	c := fresh(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Channels(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := c.Expect(t.Context(), channel.ID{1}, Listed); !errors.Is(err, ErrClosed) {
		t.Errorf("writing: %v", err)
	}
}

// A full disk: the offer fails, the machine in memory does not run ahead of
// the file, and with room again the same offer succeeds.
func TestFullDiskLosesNothingAndLeavesNoTrace(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	limit := func(pages string) {
		t.Helper()
		err := c.update(t.Context(), "limiting", func(t *tx) error {
			var n int64
			return t.get([]any{&n}, "PRAGMA max_page_count = "+pages)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	offer(t, c, ch.Files("a"), feed.Accepted)
	limit("1")
	var lost [][]byte
	for i := range 20 {
		lost = append(lost, ch.Files(fmt.Sprint("file ", i)))
	}
	_, err := c.OfferAll(t.Context(), lost)
	if !sqlite.IsFull(err) {
		t.Fatalf("offering on a full disk: %v", err)
	}
	if i := info(t, c, ch.ID); i.Releases != 1 || i.Entries != 1 {
		t.Errorf("after the failure: %+v", i)
	}
	limit("1000000")
	out, err := c.OfferAll(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Verdict != feed.Accepted {
			t.Errorf("release %d is %s: %v", i, o.Verdict, o.Err)
		}
	}
}

func TestCancelledOfferLeavesNoTrace(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := ch.Files("a")
	if _, err := c.Offer(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("offering: %v", err)
	}
	// While somebody writes, waiting ends with the context.
	s := <-c.writer
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Offer(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("offering while another writes: %v", err)
	}
	c.writer <- s
	offer(t, c, m, feed.Accepted)
}

// Many goroutines offer the same and read meanwhile: one acceptance each, and
// no picture that is neither before nor after.
func TestManyGoroutinesOfferAndRead(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := followed(t, ch)
	var all [][]byte
	for i := range 30 {
		all = append(all, ch.Files(fmt.Sprintf("a %d", i), fmt.Sprintf("b %d", i)))
	}
	var mu sync.Mutex
	accepted := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, m := range all {
				o, err := c.Offer(t.Context(), m)
				if err != nil || o.Verdict != feed.Accepted && o.Verdict != feed.Duplicate {
					t.Errorf("offer: %s, %v, %v", o.Verdict, o.Err, err)
				}
				if o.Verdict == feed.Accepted {
					mu.Lock()
					accepted++
					mu.Unlock()
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				i, err := c.Channel(t.Context(), ch.ID)
				if err != nil || i.Entries != 2*i.Releases {
					t.Errorf("a torn picture: %d releases, %d entries, %v", i.Releases, i.Entries, err)
				}
			}
		})
	}
	wg.Wait()
	if accepted != len(all) {
		t.Errorf("%d acceptances of %d releases", accepted, len(all))
	}
}

// sql.ErrNoRows stays inside.
func TestNotFoundIsTheSameEverywhere(t *testing.T) {
	ch := channeltest.NewChannel(t, "alice")
	c := fresh(t)
	_, err1 := c.Channel(t.Context(), ch.ID)
	_, err2 := c.ByDiscovery(t.Context(), ch.ID.Discovery())
	_, err3 := c.Releases(t.Context(), ch.ID, 0, 0)
	_, err4 := c.Heads(t.Context(), ch.ID)
	_, err5 := c.Forks(t.Context(), ch.ID)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, ErrUnknown) || errors.Is(err, sql.ErrNoRows) {
			t.Errorf("case %d: %v", i+1, err)
		}
	}
}
