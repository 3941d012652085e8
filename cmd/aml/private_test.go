package main

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// decoded reads one line of --json output.
func decoded[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

type addresses struct {
	Address     string `json:"address"`
	ReadAddress string `json:"readAddress"`
	Epoch       uint64 `json:"epoch"`
}

// privateChannel founds one and returns its addresses.
func privateChannel(t *testing.T, home string) addresses {
	t.Helper()
	return decoded[addresses](t, ok(t, home, "channel-create", "a/topic", "--private", "--title", "unmistakable title of a channel", "--read-key", "--json"))
}

// secretsOf are the bytes that nobody without a read key may find.
func secretsOf(t *testing.T, publisher string, whole ...string) map[string][]byte {
	t.Helper()
	secrets := map[string][]byte{}
	for _, address := range whole {
		_, key, found := strings.Cut(address, "#")
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(key))
		if err != nil || !found || len(raw) != 32 {
			t.Fatalf("%v, %d bytes of a read key", err, len(raw))
		}
		secrets["a read key "+key[:4]], secrets["a read key in base32 "+key[:4]], secrets["a read key in hex "+key[:4]] = raw, []byte(key), []byte(hex.EncodeToString(raw))
	}
	show := decoded[struct {
		Files []struct {
			Name   string `json:"name"`
			SHA256 string `json:"sha256"`
			Root   struct {
				Key string `json:"key"`
			} `json:"root"`
		} `json:"files"`
	}](t, ok(t, publisher, "channel-show", "a/topic", "--json"))
	for _, f := range show.Files {
		for what, digits := range map[string]string{"the key of " + f.Name: f.Root.Key, "the hash of " + f.Name: f.SHA256} {
			raw, err := hex.DecodeString(digits)
			if err != nil || len(raw) != 32 {
				t.Fatalf("%s is %q", what, digits)
			}
			secrets[what], secrets[what+" in hex"] = raw, []byte(digits)
		}
		secrets["the name "+f.Name] = []byte(f.Name)
	}
	if len(show.Files) == 0 {
		t.Fatal("the publisher sees no files of its own")
	}
	return secrets
}

// A blind mirror has the channel for others, also when the publisher is gone, and
// whoever has its whole home and a recording of all its traffic finds no name,
// title, key or plaintext. A removed member reads nothing of the next epoch, and
// neither does an address of the one before.
func TestBlindMirrorServesAPrivateChannelAndHoldsNothingOfItAndARemovedMemberReadsNoMore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := func(name string) string { return filepath.Join(dir, name) }
	const marker, title = "an unmistakable line of text. ", "unmistakable title of a release"
	first, second := filepath.Join(dir, "in", "unmistakable-first.txt"), filepath.Join(dir, "in", "unmistakable-second.txt")
	write(t, first, bytes.Repeat([]byte(marker), 50_000)) // some 1.5 MiB: an index and two chunks
	write(t, second, bytes.Repeat([]byte(marker), 1000))

	channel := privateChannel(t, home("p"))
	stays := strings.TrimSpace(ok(t, home("stays"), "key-member"))
	leaves := strings.TrimSpace(ok(t, home("leaves"), "key-member"))
	ok(t, home("p"), "channel-member-add", "a/topic", stays, leaves)
	publish(t, home("p"), "a/topic", first, "--title", title)

	follow := func(name, address, peer string) (stderr string, code int) {
		t.Helper()
		_, stderr, code = amlRun(t, home(name), "channel-subscribe", address, "-o", filepath.Join(dir, "out", name), "--peer", peer, "--once", "--timeout", "60s", "--set", "dht=false")
		return stderr, code
	}
	want := func(name, address, peer string, files ...string) {
		t.Helper()
		if stderr, code := follow(name, address, peer); code != 0 {
			t.Fatalf("%s: exit code %d\n%s", name, code, stderr)
		}
		if got := tree(t, filepath.Join(dir, "out", name)); len(got) != len(files) {
			t.Errorf("%s has %v, want %v", name, got, files)
		}
		for _, f := range files {
			got, _ := os.ReadFile(filepath.Join(dir, "out", name, filepath.Base(f)))
			if wanted, _ := os.ReadFile(f); !bytes.Equal(got, wanted) {
				t.Errorf("%s: %s differs", name, f)
			}
		}
	}

	// The mirror gets everything from the publisher, who then goes.
	daemon := start(t, home("p"), "daemon", "--set", "dht=false")
	wire := tapped(t, daemon.addr())
	want("mirror", channel.Address, wire.addr)
	daemon.kill()
	// Readers find it at the mirror alone.
	mirror := start(t, home("mirror"), "daemon", "--set", "dht=false")
	served := tapped(t, mirror.addr())
	want("reader", channel.ReadAddress, served.addr, first)
	want("leaves", channel.Address, served.addr, first)
	want("stays", channel.Address, served.addr, first)
	// On its topic it is trusted with its whole address.
	topic := filepath.Join(dir, "out", "topic")
	ok(t, home("topic"), "channel-subscribe", "a/topic", "--trust", channel.ReadAddress, "-o", topic, "--peer", served.addr, "--once", "--timeout", "60s", "--set", "dht=false")
	if got := tree(t, topic); len(got) != 1 {
		t.Errorf("by its topic: %v", got)
	}
	mirror.interrupt()

	// One member is removed, and the next release is made.
	out := ok(t, home("p"), "channel-member-remove", "a/topic", leaves, "--read-key", "--json")
	next := decoded[addresses](t, out)
	if next.Epoch != 2 || next.ReadAddress == channel.ReadAddress {
		t.Fatalf("after a removal: %s", out)
	}
	publish(t, home("p"), "a/topic", second, "--title", title)
	daemon = start(t, home("p"), "daemon", "--set", "dht=false")
	again := tapped(t, daemon.addr())
	want("mirror", channel.Address, again.addr)
	daemon.kill()
	mirror = start(t, home("mirror"), "daemon", "--set", "dht=false")
	last := tapped(t, mirror.addr())
	want("stays", channel.Address, last.addr, first, second)
	want("newcomer", next.ReadAddress, last.addr, first, second)
	for _, name := range []string{"leaves", "reader"} { // each with what opened the first epoch
		address := map[string]string{"leaves": channel.Address, "reader": channel.ReadAddress}[name]
		if stderr, code := follow(name, address, last.addr); code == 0 || !strings.Contains(stderr, "sealed") {
			t.Errorf("%s: exit code %d\n%s", name, code, stderr)
		}
		if got := tree(t, filepath.Join(dir, "out", name)); len(got) != 1 {
			t.Errorf("%s has %v", name, got)
		}
	}
	mirror.interrupt()
	fails(t, 4, home("stays"), []string{"channel-member-list", channel.Address}, "only the home that founded it")

	secrets := secretsOf(t, home("p"), channel.ReadAddress, next.ReadAddress)
	secrets["plaintext"], secrets["the title of a release"], secrets["the title of the channel"] = []byte(marker), []byte(title), []byte("unmistakable title of a channel")
	findIn(t, home("mirror"), secrets)
	findIn(t, filepath.Join(home("leaves"), "blobs"), secrets)
	// What was shut out holds neither the next epoch's key nor what it opens.
	only := secretsOf(t, home("p"), next.ReadAddress)
	for what := range only {
		if strings.Contains(what, filepath.Base(first)) {
			delete(only, what)
		}
	}
	findIn(t, home("leaves"), only)
	findIn(t, home("reader"), only)
	recorded := 0
	for _, tap := range []*tap{wire, served, again, last} {
		text := tap.recorded.String()
		recorded += len(text)
		for what, secret := range secrets {
			if strings.Contains(text, string(secret)) {
				t.Errorf("the wire holds %s", what)
			}
		}
	}
	if recorded < 3<<20 {
		t.Errorf("the taps saw %d bytes: the test looks in the wrong place", recorded)
	}
	// And the test would find what is there.
	reader, err := os.ReadFile(filepath.Join(home("reader"), "aml.db"))
	for _, what := range []string{"the title of a release", "the name " + filepath.Base(first), "the key of " + filepath.Base(first)} {
		if err != nil || len(secrets[what]) == 0 || !bytes.Contains(reader, secrets[what]) {
			t.Errorf("the reader's own catalogue does not hold %s, %v", what, err)
		}
	}
}
