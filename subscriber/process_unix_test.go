//go:build unix

package subscriber_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/subscriber"
)

// This test binary is started as a process of its own with these set: a home,
// an output folder, and how many blobs the peer gives before it hangs.
const (
	childHome = "AML_SUBSCRIBER_TEST_HOME"
	childOut  = "AML_SUBSCRIBER_TEST_OUT"
	childGets = "AML_SUBSCRIBER_TEST_GETS"
)

func TestMain(m *testing.M) {
	home := os.Getenv(childHome)
	if home == "" {
		os.Exit(m.Run())
	}
	gets, err := strconv.Atoi(os.Getenv(childGets))
	if entries := os.Getenv(childDownload); err == nil && entries != "" {
		err = downloadAlone(home, os.Getenv(childOut), entries, int64(gets))
	} else if err == nil {
		err = followAlone(home, os.Getenv(childOut), int64(gets))
	}
	if err != nil {
		fmt.Println("error:", err)
		if errors.Is(err, fs.ErrPermission) {
			fmt.Println("permission")
		}
		os.Exit(1)
	}
	fmt.Println("done")
}

// followAlone follows the one channel of a home once, with what its folder
// "peer" holds for a peer.
func followAlone(home, out string, gets int64) error {
	ctx := context.Background()
	if err := subscriber.CheckOutput(out); err != nil {
		return err
	}
	ledger, err := catalog.Open(ctx, catalog.Config{Path: filepath.Join(home, "aml.db")})
	if err != nil {
		return err
	}
	store, closeStore, err := aside(ctx, home)
	if err != nil {
		return err
	}
	sieve := store.Sieve()
	swarm, err := fetch.New(fetch.Config{Store: sieve, MaxOutstanding: underWay, StallTimeout: time.Second})
	if err != nil {
		return err
	}
	swarm.Add(&hanging{dir: filepath.Join(home, "peer"), gets: gets})
	infos, err := ledger.Channels(ctx)
	if err != nil || len(infos) != 1 {
		return fmt.Errorf("%d channels, %w", len(infos), err)
	}
	id := infos[0].ID
	sub, err := ledger.Subscribe(ctx, catalog.Subscription{Channel: id, Output: out})
	if err != nil {
		return err
	}
	s, err := subscriber.New(subscriber.Config{Ledger: ledger, Blobs: sieve, Place: sieve, Swarm: swarm})
	if err != nil {
		return err
	}
	err = s.Follow(ctx, subscriber.Follow{Subscription: sub.ID, Channel: id, Output: out, Once: true}, func(e subscriber.Event) {
		switch e := e.(type) {
		case subscriber.FileEvent:
			fmt.Println("file", e.Name)
		case subscriber.ErrorEvent:
			fmt.Println("told", e.Message)
		}
	})
	return errors.Join(err, closeStore(), ledger.Close())
}

// hanging is a peer that reads blobs from a folder, and hangs after a while.
type hanging struct {
	dir  string
	gets int64
	done atomic.Int64
}

func (*hanging) Name() string { return "hanging" }

func (h *hanging) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	n := h.done.Add(1)
	if n == h.gets {
		fmt.Println("hanging")
	}
	if n >= h.gets {
		<-ctx.Done()
		return dst, ctx.Err()
	}
	fmt.Println("get", id)
	data, err := os.ReadFile(filepath.Join(h.dir, id.String()))
	if errors.Is(err, fs.ErrNotExist) {
		err = blobnet.ErrNotFound
	}
	return append(dst, data...), err
}

// home writes what followAlone needs: a ledger that knows the world's channel,
// and its blobs in the folder of a peer.
func (w *world) home() string {
	w.t.Helper()
	home, err := os.MkdirTemp("", "aml-subscriber") // t.TempDir is below what others may not enter
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { os.RemoveAll(home) })
	if w.ledger, err = catalog.Open(w.t.Context(), catalog.Config{Path: filepath.Join(home, "aml.db")}); err != nil {
		w.t.Fatal(err)
	}
	w.subscribe()
	w.sync()
	if err := w.ledger.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "peer"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	err = w.pubStore.List(w.t.Context(), func(i blobnet.Info) error {
		data, err := w.pubStore.Get(w.t.Context(), i.ID, nil)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(home, "peer", i.ID.String()), data, 0o644)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return home
}

// TestAKilledSubscriberGoesOnAndShowsNothingHalf kills a process in the middle
// of writing, again and again.
func TestAKilledSubscriberGoesOnAndShowsNothingHalf(t *testing.T) {
	w := newWorld(t)
	one := files{"a": pattern(12*codec.MinChunkSize, 1), "b": "b", "c": pattern(30*codec.MinChunkSize+3, 2), "d/e": pattern(9*codec.MinChunkSize, 3)}
	two := files{"a": pattern(15*codec.MinChunkSize, 4), "f": "f"}
	w.publish("one", one)
	w.publish("two", two, "b")
	home := w.home()
	w.out = filepath.Join(home, "out")
	want := files{"a": two["a"], "c": one["c"], "d/e": one["d/e"], "f": "f"}
	reported := map[string]bool{}
	got := map[string]int{}
	for _, gets := range []int{1, 2, 7, 13, 6, 20, 11, 9, 1 << 30} {
		ended := runChild(t, os.Args[0], home, w.out, gets, func(line string) {
			switch what, rest, _ := strings.Cut(line, " "); what {
			case "file":
				reported[rest] = true
			case "get":
				got[rest]++
			}
		})
		for name, content := range tree(t, w.out) {
			if name == channel.PartialFolder || strings.HasPrefix(name, channel.PartialFolder+"/") {
				continue // empty, or with what is unfinished
			}
			if content != one[name] && content != two[name] || content == "" {
				t.Errorf("after %d blobs %s has %d bytes that are neither the old nor the new", gets, name, len(content))
			}
		}
		for name := range reported {
			if _, err := os.Stat(filepath.Join(w.out, name)); err != nil && name != "b" {
				t.Errorf("after %d blobs: %s was reported and is gone: %v", gets, name, err)
			}
		}
		if ended {
			break
		}
	}
	w.wantTree(want)
	for name := range want {
		if !reported[name] {
			t.Errorf("%s was never reported", name)
		}
	}
	again := 0
	for _, n := range got {
		again += n - 1
	}
	if again > 8*16 { // what was under way when it was killed
		t.Errorf("%d blobs were fetched more than once", again)
	}
}

// runChild runs followAlone in a process and kills it when its peer hangs. It
// reports whether the process came to its end.
func runChild(t *testing.T, program, home, out string, gets int, each func(line string)) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childHome+"="+home, childOut+"="+out, fmt.Sprintf("%s=%d", childGets, gets))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "hanging":
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		case line == "done":
			ended = true
		case strings.HasPrefix(line, "error:"):
			t.Error(line)
		default:
			each(line)
		}
	}
	_ = cmd.Wait() // it was killed, or its lines said how it ended
	return ended
}

// TestAnOutputFolderWithoutPermissionIsNamedAndLaterUsed runs as somebody else
// if it has to: root may write everywhere.
func TestAnOutputFolderWithoutPermissionIsNamedAndLaterUsed(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": "a", "d/b": "b"})
	home := w.home()
	program := filepath.Join(home, "program")
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(program, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.out = filepath.Join(home, "shut", "out")
	shut := filepath.Dir(w.out)
	locked := filepath.Join(home, "locked")
	for _, dir := range []string{shut, filepath.Join(locked, "d")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cred := &syscall.Credential{Uid: 65534, Gid: 65534}
	if os.Getuid() != 0 {
		cred = nil
	} else if err := filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, 65534, 65534))
	}); err != nil {
		t.Skip("cannot give files away:", err)
	}
	run := func(out string) string {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), childHome+"="+home, childOut+"="+out, childGets+"=1000000")
		if cred != nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		}
		text, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Skipf("could not run as another user: %v", err)
		}
		return string(text)
	}
	chmod := func(path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(shut, 0o555)
	if got := run(w.out); !strings.Contains(got, w.out) || !strings.Contains(got, "\npermission\n") || strings.Contains(got, "get ") {
		t.Errorf("in a folder that is shut it says %s", got)
	}
	chmod(filepath.Join(locked, "d"), 0o555)
	if got := run(locked); !strings.Contains(got, filepath.Join(locked, "d")) || !strings.Contains(got, "\npermission\n") {
		t.Errorf("with a folder inside that is shut it says %s", got)
	}
	chmod(shut, 0o755)
	chmod(filepath.Join(locked, "d"), 0o755)
	for _, out := range []string{w.out, locked} {
		if got := run(out); !strings.Contains(got, "\ndone\n") {
			t.Errorf("with permission it says %s", got)
		}
		wantTree(t, out, files{"a": "a", "d/b": "b"})
	}
}

// TestNothingButTheEntryOpensWhatASubscriberKeeps looks for names and contents
// in all blobs that were stored.
func TestNothingButTheEntryOpensWhatASubscriberKeeps(t *testing.T) {
	w := newWorld(t)
	f := files{}
	for i := range 200 {
		f[fmt.Sprintf("telltale-name/with/a/long/path/%03d", i)] = strings.Repeat("telltale content ", 10+i)
	}
	w.publish("telltale title", f)
	w.update()
	err := w.store.List(t.Context(), func(i blobnet.Info) error {
		data, err := w.store.Get(t.Context(), i.ID, nil)
		if err == nil && bytes.Contains(data, []byte("telltale")) {
			t.Errorf("blob %s shows it", i.ID)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
