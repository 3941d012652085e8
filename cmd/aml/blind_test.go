package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tap forwards TCP connections to a peer and records every byte both ways.
type tap struct {
	addr     string // the peer's multiaddr, through the tap
	recorded *buffer
}

func tapped(t *testing.T, peerAddr string) *tap {
	t.Helper()
	// /ip4/127.0.0.1/tcp/PORT/p2p/ID
	parts := strings.Split(peerAddr, "/")
	if len(parts) != 7 {
		t.Fatalf("unexpected address %s", peerAddr)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	rec := &buffer{}
	target := net.JoinHostPort(parts[2], parts[4])
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			go pipe(out, in, rec)
			go pipe(in, out, rec)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	parts[4] = port
	return &tap{strings.Join(parts, "/"), rec}
}

func pipe(dst, src net.Conn, rec io.Writer) {
	defer dst.Close()
	_, _ = io.Copy(io.MultiWriter(dst, rec), src)
}

// findIn fails if any file below dir, or any file's name, holds one of the
// secrets.
func findIn(t *testing.T, dir string, secrets map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for what, secret := range secrets {
			if bytes.Contains(data, secret) || strings.Contains(path, string(secret)) {
				t.Errorf("%s holds %s", path, what)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nothing but the FileEntry opens a blob: a host that serves a file, one that
// fetches it, and whoever listens to the wire find no plaintext, no name, no
// key and no hash of the plaintext.
func TestHostsAndListenersFindNoPlaintextNameOrKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const marker, name = "The quick brown fox keeps a secret. ", "unmistakable-name-of-a-film.txt"
	file := filepath.Join(dir, "in", name)
	write(t, file, bytes.Repeat([]byte(marker), 90_000)) // some 3 MiB: an index and four chunks
	host := filepath.Join(dir, "host")
	doc := ok(t, host, "ingest", "-i", file)
	entry := filepath.Join(dir, "entry.json")
	write(t, entry, []byte(doc))

	seeder := start(t, host, "blob-seed", "-i", entry)
	wire := tapped(t, seeder.addr())
	other := filepath.Join(dir, "other")
	ok(t, other, "blob-fetch", "-i", entry, "-o", filepath.Join(dir, "fetched"), "--peer", wire.addr, "--set", "dht=false")
	seeder.interrupt()
	got, err := os.ReadFile(filepath.Join(dir, "fetched"))
	if err != nil || !bytes.HasPrefix(got, []byte(marker)) {
		t.Fatalf("fetched %.40q, %v", got, err)
	}

	var e struct {
		SHA256 string `json:"sha256"`
		Root   struct {
			Key string `json:"key"`
		} `json:"root"`
	}
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"plaintext": []byte(marker), "the name": []byte(name)}
	for what, digits := range map[string]string{"the key": e.Root.Key, "the plaintext's hash": e.SHA256} {
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) != 32 {
			t.Fatalf("%s is %q", what, digits)
		}
		secrets[what], secrets[what+" in hex"] = raw, []byte(digits)
	}
	findIn(t, host, secrets)
	findIn(t, other, secrets)
	if len(wire.recorded.String()) < 3<<20 {
		t.Fatal("the tap saw less than the file: the test looks in the wrong place")
	}
	for what, secret := range secrets {
		if strings.Contains(wire.recorded.String(), string(secret)) {
			t.Errorf("the wire holds %s", what)
		}
	}
}

// The wire of a subscription is as blind: manifests travel encrypted too.
func TestTheWireOfASubscriptionHoldsNoNameTitleOrPlaintext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const marker, name, title = "an unmistakable line of text. ", "unmistakable-name.txt", "unmistakable title"
	file := filepath.Join(dir, name)
	write(t, file, bytes.Repeat([]byte(marker), 1000))
	home := filepath.Join(dir, "p")
	address := publish(t, home, "secrets", file, "--title", title)
	daemon := start(t, home, "daemon", "--set", "dht=false")
	wire := tapped(t, daemon.addr())
	ok(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", wire.addr, "--once", "--set", "dht=false")
	if len(tree(t, filepath.Join(dir, "out"))) != 1 {
		t.Fatal("nothing arrived")
	}
	for _, secret := range []string{marker, name, title, strings.TrimPrefix(address, "aml://")} {
		if strings.Contains(wire.recorded.String(), secret) {
			t.Errorf("the wire holds %q", secret)
		}
	}
	// Of the stored blobs not one may hold it either: a public channel's
	// names stand in the catalogue, never in blobs/.
	findIn(t, filepath.Join(dir, "s", "blobs"), map[string][]byte{"plaintext": []byte(marker), "the name": []byte(name), "the title": []byte(title)})
}
