//go:build unix

package subscriber_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/subscriber"
)

// childDownload is set for a process that fetches what the file of that name
// lists to childOut, beside the variables of followAlone; childKind says whether
// it does so as a file or a folder.
const (
	childDownload = "AML_SUBSCRIBER_TEST_ENTRIES"
	childKind     = "AML_SUBSCRIBER_TEST_KIND"
)

// underWay is how many bytes may be under way, and lost, when a process is
// killed: much less than 1 % of the test's file.
const underWay = 512 << 10

// aside opens the store of a home with what is in files before it.
func aside(ctx context.Context, home string) (*inplace.Store, func() error, error) {
	disk, err := diskstore.Open(diskstore.Config{Dir: filepath.Join(home, "blobs"), MinFree: -1})
	if err != nil {
		return nil, nil, err
	}
	store, err := inplace.Open(ctx, inplace.Config{Inner: disk, Path: filepath.Join(home, "blobs", "inplace.db")})
	return store, func() error { return errors.Join(store.Close(), disk.Close()) }, err
}

// downloadAlone fetches without a channel, from what a folder holds.
func downloadAlone(home, out, entries string, gets int64) error {
	ctx := context.Background()
	doc, err := os.ReadFile(entries)
	if err != nil {
		return err
	}
	list, err := channel.ParseFileEntries(doc)
	if err != nil {
		return err
	}
	store, closeStore, err := aside(ctx, home)
	if err != nil {
		return err
	}
	sieve := store.Sieve()
	swarm, err := fetch.New(fetch.Config{Store: sieve, MaxOutstanding: underWay, StallTimeout: time.Minute})
	if err != nil {
		return err
	}
	swarm.Add(&hanging{dir: filepath.Join(home, "peer"), gets: gets})
	d := subscriber.Download{Swarm: swarm, Place: sieve}
	if os.Getenv(childKind) == "file" {
		_, err = d.File(ctx, list[0], out)
	} else {
		_, err = d.Folder(ctx, list, out)
	}
	return errors.Join(err, closeStore())
}

// TestAFetchThatIsKilledTransfersNothingTwice kills a fetch at 60 % and runs it
// again, as a file, a folder, and a subscription.
func TestAFetchThatIsKilledTransfersNothingTwice(t *testing.T) {
	const chunks = 1000
	content := pattern(chunks*codec.MinChunkSize, 1)
	for _, kind := range []string{"file", "folder", "follow"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			f := files{"f": content}
			if kind == "folder" {
				f = files{"f": content[:chunks/2*codec.MinChunkSize], "g/h": content[chunks/2*codec.MinChunkSize:]}
			}
			entries := w.ingest(f)
			w.release(publisherRelease(entries))
			home := w.home()
			out := filepath.Join(home, "out")
			if kind == "file" {
				out = filepath.Join(home, "f")
			}
			doc, err := json.Marshal(entries)
			if err == nil {
				err = os.WriteFile(filepath.Join(home, "entries.json"), doc, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for i, gets := range []int{chunks * 6 / 10, 1 << 30} {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childHome+"="+home, childOut+"="+out, childKind+"="+kind, fmt.Sprintf("%s=%d", childGets, gets))
				if kind != "follow" {
					cmd.Env = append(cmd.Env, childDownload+"="+filepath.Join(home, "entries.json"))
				}
				cmd.Stderr = os.Stderr
				stdout, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				for lines := bufio.NewScanner(stdout); lines.Scan(); {
					switch what, rest, _ := strings.Cut(lines.Text(), " "); what {
					case "hanging":
						if err := cmd.Process.Kill(); err != nil {
							t.Error(err)
						}
					case "get":
						got[rest]++
					case "done":
					case "file":
					default:
						t.Error(lines.Text())
					}
				}
				_ = cmd.Wait() // it was killed, or its lines said how it ended
				if i == 0 {
					if _, err := os.Stat(filepath.Join(out, "f")); err == nil && kind != "folder" {
						t.Error("it was done before it was killed")
					}
				}
			}
			twice := 0
			for _, n := range got {
				twice += n - 1
			}
			t.Logf("%d of %d blobs came twice", twice, len(got))
			if len(got) < chunks || twice > chunks/100 {
				t.Errorf("%d of %d blobs came twice", twice, len(got))
			}
			if kind == "file" {
				if data, err := os.ReadFile(out); err != nil || string(data) != content {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			} else {
				wantTree(t, out, f)
			}
			store, closeStore, err := aside(t.Context(), home)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if !whole(t, store, e, f[e.Name]) {
					t.Errorf("%s is not served", e.Name)
				}
			}
			if stats, err := store.Stats(t.Context()); err != nil || stats.CurrentSize > chunks*1000 {
				t.Errorf("%+v stored, %v", stats, err)
			}
			if err := closeStore(); err != nil {
				t.Error(err)
			}
		})
	}
}
