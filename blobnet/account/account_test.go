package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func open(t testing.TB, cfg Config) *Book {
	t.Helper()
	if cfg.OnProblem == nil {
		cfg.OnProblem = func(err error) { t.Errorf("problem: %v", err) }
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("closing: %v", err)
		}
	})
	return b
}

func bookPath(t testing.TB) string { return filepath.Join(t.TempDir(), "accounts.db") }

func list(t testing.TB, b *Book) map[string]Row {
	t.Helper()
	rows, err := b.List(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]Row)
	for _, r := range rows {
		if _, ok := out[r.Peer]; ok {
			t.Errorf("%s is listed twice", r.Peer)
		}
		out[r.Peer] = r
	}
	return out
}

func TestWhatCameTwiceIsCountedOnceAsDuplicateWheneverThatIsTold(t *testing.T) {
	b := open(t, Config{Path: bookPath(t)})
	flush := func() {
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.Add("before", Counts{Useful: 100}, Counts{})
	b.Twice("before", 30)
	b.Twice("after", 30)
	if _, ok := list(t, b)["after"]; ok {
		t.Error("a peer is listed of which nothing was counted")
	}
	flush()
	b.Add("after", Counts{Useful: 10}, Counts{})
	flush()
	b.Add("after", Counts{Useful: 90}, Counts{})
	b.Twice("after", -1)
	for range 2 {
		rows := list(t, b)
		for _, peer := range []string{"before", "after"} {
			if got := rows[peer].Received; got != (Counts{Useful: 70, Duplicate: 30}) {
				t.Errorf("%s: %+v", peer, got)
			}
		}
		flush()
	}
}

var one = Counts{Useful: 1, Duplicate: 20, Wasted: 300, Overhead: 4000}

func TestCountsAreKeptFromOneRunToTheNext(t *testing.T) {
	path := bookPath(t)
	for run := range int64(3) {
		b := open(t, Config{Path: path})
		for range 10 {
			b.Add("a", one, Counts{Useful: 5})
			b.Add("b", Counts{}, one)
		}
		check := func(when string) {
			t.Helper()
			n := 10 * (run + 1)
			rows := list(t, b)
			want := Counts{n, 20 * n, 300 * n, 4000 * n}
			if len(rows) != 2 || rows["a"].Received != want || rows["a"].Sent != (Counts{Useful: 5 * n}) || rows["b"].Sent != want {
				t.Errorf("run %d, %s: %+v", run, when, rows)
			}
			sum, peers, err := b.Totals(t.Context())
			if err != nil || peers != 2 || sum.Received != want || sum.Sent.Useful != 6*n || sum.First.IsZero() || sum.Last.Before(sum.First) {
				t.Errorf("run %d, %s: %+v, %d, %v", run, when, sum, peers, err)
			}
		}
		check("in memory")
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("on disk")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.List(t.Context(), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestPeersAreListedByBytes(t *testing.T) {
	b := open(t, Config{Path: bookPath(t)})
	for i := range 20 {
		b.Add(fmt.Sprint(i), Counts{Useful: int64(i)}, Counts{Wasted: int64(i % 10)})
		if i == 10 {
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, err := b.List(t.Context(), 3)
	if err != nil || len(rows) != 3 || rows[0].Peer != "19" || rows[1].Peer != "18" || rows[2].Peer != "17" {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestRunWritesByTimeByBatchAndAtItsEnd(t *testing.T) {
	path := bookPath(t)
	synctest.Test(t, func(t *testing.T) {
		b, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		onDisk := func() int {
			f := <-b.file
			defer func() { b.file <- f }()
			rows, err := f.read(t.Context())
			if err != nil {
				t.Error(err)
			}
			return len(rows)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		b.Add("a", one, one)
		<-time.After(9 * time.Second)
		if n := onDisk(); n != 0 {
			t.Errorf("%d rows after 9 s", n)
		}
		<-time.After(2 * time.Second)
		if n := onDisk(); n != 1 {
			t.Errorf("%d rows after 11 s", n)
		}
		for i := range 1024 {
			b.Add(fmt.Sprint(i), one, one)
		}
		<-time.After(time.Second)
		if n := onDisk(); n != 1025 {
			t.Errorf("%d rows after a batch", n)
		}
		b.Add("last", one, one)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := onDisk(); n != 1026 {
			t.Errorf("%d rows at the end", n)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPeersSeenLeastRecentlyAreAddedUp(t *testing.T) {
	path := bookPath(t)
	b := open(t, Config{Path: path, MaxPeers: 100})
	for i := range 250 {
		b.Add(fmt.Sprint(i), one, Counts{Useful: 1})
		b.Add("friend", one, one)
		if i%10 == 9 {
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows := list(t, b)
	if len(rows) != 101 || rows["friend"].Received.Useful != 250 || rows["249"].Sent.Useful != 1 || rows["0"].Peer != "" {
		t.Errorf("%d rows, friend %+v, others %+v", len(rows), rows["friend"], rows[Others])
	}
	if got := rows[Others].Sent.Useful; got != 151 {
		t.Errorf("others sent %d, want 151", got)
	}
	sum, peers, err := b.Totals(t.Context())
	if err != nil || peers != 100 || sum.Received.Useful != 500 || sum.Received.Overhead != 500*4000 {
		t.Errorf("%+v, %d, %v", sum, peers, err)
	}
}

func TestMemoryIsBoundedWhenNobodyWrites(t *testing.T) {
	b := open(t, Config{Path: bookPath(t), Batch: 10})
	for i := range 1000 {
		b.Add(fmt.Sprint(i), one, one)
	}
	b.Add(strings.Repeat("x", MaxName+1), one, one)
	b.Add("", one, one)
	if n := len(b.pending); n > 41 {
		t.Errorf("%d peers pending", n)
	}
	if sum, _, err := b.Totals(t.Context()); err != nil || sum.Sent.Useful != 1002 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestCountsStopInsteadOfOverflowing(t *testing.T) {
	path := bookPath(t)
	huge := Counts{math.MaxInt64, math.MaxInt64, math.MaxInt64, -1}
	b := open(t, Config{Path: path, MaxPeers: 1})
	for i := range 4 {
		b.Add(fmt.Sprint(i), huge, huge)
		b.Add(fmt.Sprint(i), huge, huge)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sum, _, err := b.Totals(t.Context())
	if err != nil || sum.Sent != (Counts{maxCount, maxCount, maxCount, 0}) || sum.Sent.Total() != maxCount {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestDamagedFileIsMovedAsideAndTold(t *testing.T) {
	path := bookPath(t)
	var told []error
	cfg := Config{Path: path, OnProblem: func(err error) { told = append(told, err) }}
	for i := range 2 {
		if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, cfg)
		b.Add("a", one, one)
		if len(list(t, b)) != 1 {
			t.Error("counts are lost")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if len(told) != i+1 || !strings.Contains(told[i].Error(), path+".damaged") {
			t.Errorf("told %v", told)
		}
	}
	for _, aside := range []string{".damaged", ".damaged-1"} {
		if text, err := os.ReadFile(path + aside); err != nil || !strings.HasPrefix(string(text), "no database") {
			t.Errorf("%s: %q, %v", aside, text, err)
		}
	}
}

func TestFileThatBecomesDamagedIsReplacedWhileRunning(t *testing.T) {
	path := bookPath(t)
	var told []error
	b := open(t, Config{Path: path, OnProblem: func(err error) { told = append(told, err) }})
	for i := range 3000 {
		b.Add(fmt.Sprint(i), one, one)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The next use sees a file of nonsense: no connection may cache the good one.
	f := <-b.file
	if _, err := f.db.Exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA cache_size = 1"); err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(text); i++ {
		text[i] = 0xff
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.file <- nil // as after a failure to open it
	b.Add("new", one, one)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := list(t, b); len(told) != 1 || rows["new"].Sent != one {
		t.Errorf("told %v, %d rows", told, len(rows))
	}
}

func TestNewerFileIsNotTouchedAndCountingGoesOn(t *testing.T) {
	path := bookPath(t)
	f, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	f.close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var told []error
	b := open(t, Config{Path: path, OnProblem: func(err error) { told = append(told, err) }})
	for range 3 {
		b.Add("p", one, Counts{})
		if err := b.Flush(t.Context()); !errors.Is(err, errNewer) {
			t.Errorf("flushing gives %v", err)
		}
	}
	if got := list(t, b)["p"].Received.Useful; got != 3 {
		t.Errorf("%d counted, want 3", got)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if len(told) != 1 || !strings.Contains(told[0].Error(), "version 99") {
		t.Errorf("told %v", told)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestWhatCannotBeWrittenIsKeptAndToldOnce(t *testing.T) {
	path := bookPath(t)
	var told []error
	b := open(t, Config{Path: path, OnProblem: func(err error) { told = append(told, err) }})
	f := <-b.file
	if _, err := f.db.Exec("PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	b.file <- f
	for range 3 {
		b.Add("a", one, one)
		if err := b.Flush(t.Context()); err == nil {
			t.Fatal("no error")
		}
	}
	if len(told) != 1 {
		t.Errorf("told %v", told)
	}
	f = <-b.file
	if _, err := f.db.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	b.file <- f
	if err := b.Flush(t.Context()); err != nil || len(b.pending) != 0 || list(t, b)["a"].Sent.Useful != 3 {
		t.Errorf("%v: %+v", err, list(t, b))
	}
}

func TestManyMayCountAtOnce(t *testing.T) {
	b := open(t, Config{Path: bookPath(t), Batch: 8})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				b.Add(fmt.Sprint(j%5), one, Counts{})
				if j%100 == i {
					if err := b.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 20 {
		if _, _, err := b.Totals(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if sum, peers, err := b.Totals(t.Context()); err != nil || peers != 5 || sum.Received.Useful != 4000 {
		t.Errorf("%+v, %d, %v", sum, peers, err)
	}
}

// What was written survives the death of the process; what was not is gone.
func TestKilledProcessLosesTheLastBatchAtMost(t *testing.T) {
	if path := os.Getenv("AML_TEST_ACCOUNTS"); path != "" {
		b, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			b.Add(fmt.Sprint(i), one, one)
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Add("late", one, one)
		fmt.Println("written")
		select {} // until killed
	}
	path := bookPath(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledProcessLosesTheLastBatchAtMost$")
	cmd.Env = append(os.Environ(), "AML_TEST_ACCOUNTS="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	killErr := cmd.Process.Kill()
	_ = cmd.Wait() // killed
	if err != nil || killErr != nil || line != "written\n" {
		t.Fatalf("the process said %q, %v, %v", line, err, killErr)
	}
	rows := list(t, open(t, Config{Path: path}))
	if len(rows) != 100 || rows["7"].Sent != one {
		t.Errorf("%d rows", len(rows))
	}
}

func BenchmarkAdd(b *testing.B) {
	book := open(b, Config{Path: bookPath(b)})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			book.Add("a", one, one)
		}
	})
}

func BenchmarkFlush1024(b *testing.B) {
	book := open(b, Config{Path: bookPath(b)})
	for n := 0; b.Loop(); n++ {
		for i := range 1024 {
			book.Add(fmt.Sprint((n*1024+i)%20_000), one, one)
		}
		if err := book.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
