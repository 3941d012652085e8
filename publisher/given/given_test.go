package given

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/publisher"
)

func open(t *testing.T, path string) *Book {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatWasGivenIsRememberedAcrossRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "given")
	b := open(t, path)
	id, key := channel.ID{1}, channeltest.Pub("alice")
	if b.Given(id, key) != (publisher.Given{}) {
		t.Error("something is remembered before anything was given")
	}
	for seq := range uint64(3) {
		if err := b.Give(id, key, seq+1, channel.Hash{byte(seq)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Give(id, channel.PublicKey{}, 7, channel.Hash{7}); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	if got, want := b.Given(id, key), (publisher.Given{Seq: 3, Hash: channel.Hash{2}, Sure: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := b.Given(id, channel.PublicKey{}), (publisher.Given{Seq: 7, Hash: channel.Hash{7}, Sure: true}); got != want {
		t.Errorf("the root: %+v, want %+v", got, want)
	}
	if got := b.Given(channel.ID{2}, key); got != (publisher.Given{}) {
		t.Errorf("of another channel: %+v", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files left over: %v", left)
	}
}

// TestACopyIsSureOfNothing: restoring a backup is copying.
func TestACopyIsSureOfNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no mark on this system")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "given")
	b := open(t, path)
	id, alice, bob := channel.ID{1}, channeltest.Pub("alice"), channeltest.Pub("bob")
	for _, key := range []channel.PublicKey{alice, bob} {
		if err := b.Give(id, key, 5, channel.Hash{5}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	if got := b.Given(id, alice); got.Sure || got.Seq != 5 {
		t.Errorf("the copy says %+v", got)
	}
	// One log is told again; the other stays in doubt, also after a restart.
	if err := b.Give(id, alice, 6, channel.Hash{6}); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	if !b.Given(id, alice).Sure || b.Given(id, bob).Sure {
		t.Errorf("alice %+v, bob %+v", b.Given(id, alice), b.Given(id, bob))
	}
	// A rename is no copy.
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if b = open(t, path+"2"); !b.Given(id, alice).Sure {
		t.Error("renamed, and not sure any more")
	}
}

func TestAMemoryThatIsNoneIsNamed(t *testing.T) {
	for _, text := range []string{"", "{}", "null", "[]", `{"version":2}`, `{"version":1,"mark":"","given":[{"channel":"x"}]}`, `{"version":1} x`, "\x00\xff"} {
		path := filepath.Join(t.TempDir(), "given")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}

func TestManyGiveAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "given")
	b := open(t, path)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := b.Give(channel.ID{byte(i + 1)}, channeltest.Pub("alice"), uint64(i), channel.Hash{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	b = open(t, path)
	for i := range 20 {
		if got := b.Given(channel.ID{byte(i + 1)}, channeltest.Pub("alice")); got.Seq != uint64(i) || !got.Sure {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(`{"version":1,"mark":"inode 7","given":[]}`)
	f.Add(`{"version":1,"mark":"","given":[{"channel":"szg6mbewynh22xveyyhcxlfkk4n24vqjhkkbts2rizttae6dawga","key":"root","seq":3,"hash":"` + strings.Repeat("ab", 32) + `","sure":true}]}`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "given")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(path)
		if err != nil {
			return
		}
		for _, r := range b.rows {
			if r.Sure && runtime.GOOS == "linux" {
				t.Fatalf("sure of what was made up: %+v", r)
			}
		}
	})
}

func TestWhatIsNoFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, disk.ErrNotRegular) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder in its place: %v", err)
	}
}
