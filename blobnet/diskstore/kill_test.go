package diskstore

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

const (
	childVariable = "AML_TEST_DISKSTORE"       // the folder
	quotaVariable = "AML_TEST_DISKSTORE_QUOTA" // bytes
)

// child puts, deletes, pins and syncs in dir until it is killed, and prints a
// line about each Put, after it has returned.
func child(dir string) {
	quota, err := strconv.ParseInt(os.Getenv(quotaVariable), 10, 64)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s, err := Open(Config{Dir: dir, MaxSize: quota})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() { // ends with its parent, should that forget to kill it
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	ctx := context.Background()
	var next atomic.Int64
	var workers sync.WaitGroup
	var stdout sync.Mutex
	say := func(word string, id blobnet.ID) {
		stdout.Lock()
		defer stdout.Unlock()
		fmt.Println(word, id)
	}
	for range 4 {
		workers.Go(func() {
			for {
				n := int(next.Add(1))
				id, blob := storetest.Blob(os.Getpid()<<20|n, 1<<(10+n%8))
				err := s.Put(ctx, id, blob)
				switch {
				case err != nil:
				case n%50 == 0:
					err = s.Delete(ctx, id)
				case n%50 == 25:
					// It may have been evicted between Put and Pin.
					var have []bool
					if err = s.Pin(ctx, id); err == nil {
						have, err = s.Has(ctx, id)
					}
					if err == nil && have[0] {
						say("pinned", id)
					}
				case n%100 == 75:
					err = s.Sync(ctx)
				default:
					say("put", id)
				}
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
			}
		})
	}
	workers.Wait()
}

func TestAKillAtAnyMomentLosesNothingThatWasPut(t *testing.T) {
	testKills(t, 0)
}

func TestAKillAmongEvictionsLosesNothingThatIsPinned(t *testing.T) {
	testKills(t, 2<<20)
}

func testKills(t *testing.T, quota int64) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pinned := make(map[blobnet.ID]bool)
	for round, after := range []int{1, 60, 333, 150} {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childVariable+"="+dir, fmt.Sprintf("%s=%d", quotaVariable, quota))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		must(t, cmd.Start())
		var ids []blobnet.ID
		lines := bufio.NewScanner(out)
		for lines.Scan() { // also what it said between the decision to kill it and its death
			var word, hex string
			if n, _ := fmt.Sscan(lines.Text(), &word, &hex); n != 2 {
				break // cut off in the middle of a line
			}
			id, err := blobnet.ParseID(hex)
			switch {
			case word == "error":
				t.Errorf("the child met an error: %s", lines.Text())
			case err == nil && word == "pinned":
				pinned[id] = true
			case err == nil:
				ids = append(ids, id)
			}
			if len(ids) == after {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed
		stdin.Close()

		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		r := s.Recovery()
		if !r.Unclean || r.Corrupt != 0 || r.Rebuilt {
			t.Errorf("round %d: the start did %+v", round, r)
		}
		wantNoParts(t, s)
		if quota == 0 {
			for _, id := range ids {
				wantBlob(t, s, id)
			}
		}
		for id := range pinned {
			wantBlob(t, s, id)
		}
		var count, size, pins int64
		must(t, s.List(t.Context(), func(info blobnet.Info) error {
			count, size = count+1, size+info.Size
			if info.Pinned {
				pins++
			}
			if pinned[info.ID] && !info.Pinned {
				t.Errorf("round %d: %s lost its pin", round, info.ID.Short())
			}
			wantBlob(t, s, info.ID)
			return nil
		}))
		wantStats(t, s, count, size, pins)
		if round%2 == 0 {
			crash(t, s)
		} else {
			closeStore(t, s)
		}
	}
}
