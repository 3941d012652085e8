//go:build unix

package publisher_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

// child names what this test binary does when it is started as a process of
// its own.
const child = "AML_PUBLISHER_TEST_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(child) {
	case "":
		os.Exit(m.Run())
	case "ingest":
		_, err = ingestAlone(os.Args[1])
	case "publish":
		err = publishForEver(os.Args[1])
	}
	if err != nil {
		fmt.Println("error:", err)
		if errors.Is(err, fs.ErrPermission) {
			fmt.Println("permission")
		}
		os.Exit(1)
	}
}

// newHome opens a publisher with everything on disk below dir.
func newHome(ctx context.Context, dir string) (*publisher.Publisher, *diskstore.Store, *catalog.Catalog, error) {
	store, err := diskstore.Open(diskstore.Config{Dir: filepath.Join(dir, "blobs"), MinFree: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := catalog.Open(ctx, catalog.Config{Path: filepath.Join(dir, "aml.db")})
	if err != nil {
		return nil, nil, nil, errors.Join(err, store.Close())
	}
	p, err := publisher.New(publisher.Config{Blobs: store, Ledger: c})
	return p, store, c, err
}

func ingestAlone(path string) (publisher.Ingested, error) {
	home, err := os.MkdirTemp("", "aml-ingest")
	if err != nil {
		return publisher.Ingested{}, err
	}
	defer os.RemoveAll(home)
	p, store, c, err := newHome(context.Background(), home)
	if err != nil {
		return publisher.Ingested{}, err
	}
	defer store.Close()
	defer c.Close()
	return p.Ingest(context.Background(), publisher.IngestSpec{Path: path})
}

// publishForEver publishes releases and says the number of each that is done.
func publishForEver(home string) error {
	ctx := context.Background()
	p, _, c, err := newHome(ctx, home)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(home, "publish.pem")
	key, err := keyfile.Load(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = channel.GenerateKey(); err == nil {
			err = keyfile.Write(keyFile, key)
		}
	}
	if err != nil {
		return err
	}
	own, err := c.OwnByTopic(ctx, "t", key.Public())
	if errors.Is(err, fs.ErrNotExist) {
		var made publisher.Created
		made, err = p.Create(ctx, publisher.CreateSpec{Topics: []string{"t"}, Key: key, KeyFile: keyFile, KeyDir: home})
		own.Channel = made.Channel
	}
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		path := filepath.Join(home, "input")
		if err := os.WriteFile(path, pattern(i%5*codec.MinChunkSize, byte(i)), 0o600); err != nil {
			return err
		}
		release, err := p.FromDraft(ctx, publisher.DraftSpec{
			Draft:   channel.Draft{Entries: []channel.DraftEntry{{Path: path, Name: fmt.Sprintf("f%d", i)}}},
			Channel: own.Channel, Key: key, ChunkSize: codec.MinChunkSize,
		})
		if err != nil {
			return err
		}
		done, err := p.Publish(ctx, release)
		if err != nil {
			return err
		}
		fmt.Println("published", own.Channel, done.Seq)
	}
}

// TestAKilledPublisherHasWhatItReported kills a process that publishes, again
// and again on one home, and looks at what is on disk.
func TestAKilledPublisherHasWhatItReported(t *testing.T) {
	home := t.TempDir()
	for round, after := range []int{1, 3, 2, 4} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], home)
		cmd.Env = append(os.Environ(), child+"=publish")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		var name string
		var seq uint64
		for range after {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(line, "published %s %d", &name, &seq); err != nil {
				t.Fatalf("child says %q", line)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(lines)
		_ = cmd.Wait() // it was killed
		for line := range strings.Lines(string(rest)) {
			fmt.Sscanf(line, "published %s %d", &name, &seq)
		}
		checkHome(t, home, name, seq, round)
	}
}

// checkHome checks that the log reaches at least seq, without a fork, and that
// each of its files is there, pinned and whole.
func checkHome(t *testing.T, home, name string, seq uint64, round int) {
	t.Helper()
	_, store, c, err := newHome(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	defer c.Close()
	id, err := channel.ParseID(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Channel(t.Context(), id)
	if err != nil || len(info.Logs) != 1 || info.Logs[0].Seq < seq || info.Forked || !info.Fresh {
		t.Fatalf("round %d: reported %d, there is %+v, %v", round, seq, info, err)
	}
	for e, err := range c.Entries(t.Context(), id, catalog.EntryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.NewReader(t.Context(), store, e.File()).WriteTo(io.Discard); err != nil {
			t.Errorf("round %d: %s: %v", round, e.Name, err)
		}
	}
}

func TestWhatIsNoFileIsNamed(t *testing.T) {
	w := newWorld(t, 0)
	w.file("in/ok", nil)
	path := filepath.Join(w.dir, "in", "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		_, err := w.Ingest(t.Context(), publisher.IngestSpec{Path: p})
		if !errors.Is(err, publisher.ErrNotRegular) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "pipe") {
			t.Errorf("%v", err)
		}
	}
}

// TestAnUnreadableFileIsNamed runs as somebody else if it has to: to root
// nothing is unreadable.
func TestAnUnreadableFileIsNamed(t *testing.T) {
	dir, err := os.MkdirTemp("", "aml-unreadable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "program")
	copyFile(t, os.Args[0], program)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(dir, "in")
	if err := os.MkdirAll(filepath.Join(in, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(in, "sub", "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o000); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, in)
	cmd.Env = append(os.Environ(), child+"=ingest", "TMPDIR=/tmp")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Skipf("could not run as another user: %v", err)
	}
	if !strings.Contains(string(out), secret) || !strings.Contains(string(out), "\npermission\n") {
		t.Errorf("it says %s", out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
