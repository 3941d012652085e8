package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test binary be aml itself: the tests run real processes
// without building a second binary.
const asProgram = "AML_TEST_AS_PROGRAM"

// patience is how long a test waits for something that must happen. It decides
// only how soon a broken build is noticed.
const patience = 90 * time.Second

// program is one aml process under test.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan event
	stderr *buffer
	done   chan struct{}
	err    error // of Wait; read after done
}

// event is one line of --json output.
type event struct {
	name string
	raw  json.RawMessage
}

func (e event) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(e.raw, v); err != nil {
		t.Fatalf("event %s: %v\n%s", e.name, err, e.raw)
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command is aml with a home of its own, on loopback, with discovery off the LAN.
func command(ctx context.Context, home string, args ...string) *exec.Cmd {
	args = append(args, "--home", home, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false")
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// start runs aml in the background with --json and collects its events.
func start(t *testing.T, home string, args ...string) *program {
	t.Helper()
	cmd := command(context.Background(), home, append(args, "--json")...)
	return background(t, cmd, cmd.Start, cmd.Wait)
}

// background begins cmd, which has --json, and collects its events.
func background(t *testing.T, cmd *exec.Cmd, begin, wait func() error) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, events: make(chan event, 1<<16), stderr: &buffer{}, done: make(chan struct{})}
	cmd.Stderr = p.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer close(p.events)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 16<<20)
		for scan.Scan() {
			var head struct {
				Event string `json:"event"`
			}
			if err := json.Unmarshal(scan.Bytes(), &head); err != nil {
				t.Errorf("%v printed a line that is not JSON: %q", cmd.Args[1:], scan.Text())
				continue
			}
			p.events <- event{head.Event, bytes.Clone(scan.Bytes())}
		}
		p.err = wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// wait returns the next event of that name, skipping others.
func (p *program) wait(name string) event {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("aml ended before an event %q\n%s", name, p.stderr)
			}
			if e.name == name {
				return e
			}
		case <-timeout:
			p.t.Fatalf("no event %q within %v\n%s", name, patience, p.stderr)
		}
	}
}

// addr waits for the listening event and returns the first address.
func (p *program) addr() string {
	p.t.Helper()
	var l struct {
		PeerID string   `json:"peerId"`
		Addrs  []string `json:"addrs"`
	}
	p.wait("listening").decode(p.t, &l)
	if len(l.Addrs) == 0 || !strings.HasSuffix(l.Addrs[0], "/p2p/"+l.PeerID) {
		p.t.Fatalf("listening event without a usable address: %+v", l)
	}
	return l.Addrs[0]
}

// kill is SIGKILL, and waits for the end.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// interrupt is Ctrl-C; it returns the exit code.
func (p *program) interrupt() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	return p.exit()
}

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("aml did not end within %v\n%s", patience, p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// amlRun runs aml to its end and returns what it printed.
func amlRun(t *testing.T, home string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := command(ctx, home, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ok runs aml and expects success; it returns standard output.
func ok(t *testing.T, home string, args ...string) string {
	t.Helper()
	out, errs, code := amlRun(t, home, args...)
	if code != 0 {
		t.Fatalf("aml %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// publish publishes with --once and returns the address.
func publish(t *testing.T, home string, args ...string) string {
	t.Helper()
	var res struct {
		Address string `json:"address"`
	}
	out := ok(t, home, append([]string{"channel-publish"}, append(args, "--once", "--json")...)...)
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return res.Address
}

// noise writes size bytes that depend on seed alone to path, and returns them.
func noise(t *testing.T, path string, size int, seed uint64) []byte {
	t.Helper()
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(data)
	write(t, path, data)
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree maps the relative path of every regular file below dir to its SHA-256.
// Folders whose name begins with .aml are the program's own. A folder that is not
// there holds nothing.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return files
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".aml") {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sum := sha256.Sum256(data)
		files[filepath.ToSlash(rel)] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameTree fails unless both folders hold the same files with the same bytes.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	g, w := tree(t, got), tree(t, want)
	for name, sum := range w {
		switch {
		case g[name] == "":
			t.Errorf("%s is missing in %s", name, got)
		case g[name] != sum:
			t.Errorf("%s differs in %s", name, got)
		}
	}
	for name := range g {
		if w[name] == "" {
			t.Errorf("%s is in %s, where it should not be", name, got)
		}
	}
}
