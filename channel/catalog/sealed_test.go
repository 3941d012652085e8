package catalog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func readKey(name string) channel.ReadKey { return channel.ReadKeyFrom(sha256.Sum256([]byte(name))) }

// private is a channel of class private with releases that hold these bodies.
func private(t *testing.T, c *Catalog, bodies ...channel.SealedBody) (id channel.ID, hashes []channel.Hash) {
	t.Helper()
	nonce := sha256.Sum256([]byte("private"))
	root := channel.Root{
		Format: 1, Version: 1, Topics: []string{"t"}, Class: channel.Private, Kind: channel.Media,
		Root:       channel.KeySet{Keys: channeltest.Pubs("owner"), Threshold: 1},
		Publishers: []channel.Publisher{{Key: channeltest.Pub("alice"), Role: channel.RolePublish, Scopes: []string{"a"}}},
		Expires:    channel.TimeOf(channeltest.Epoch().AddDate(10, 0, 0)), Nonce: nonce[:16],
	}
	env, err := root.Sign(channeltest.Key("owner"))
	data := channeltest.Encode(t, env, err)
	id = channel.IDOf(env.Payload)
	if err := c.Expect(t.Context(), id, Followed); err != nil {
		t.Fatal(err)
	}
	offer(t, c, data, feed.Accepted)
	var prev *channel.Hash
	for i, body := range bodies {
		m := channel.Manifest{
			Format: 1, Channel: id, Root: 1, Log: channeltest.Pub("alice"), Epoch: 1, Seq: uint64(i + 1), Prev: prev,
			Issued: channel.TimeOf(channeltest.Epoch()),
		}
		if err := m.Seal(readKey("1"), blobnet.ID{1}, [32]byte{byte(i)}, body); err != nil {
			t.Fatal(err)
		}
		env, err := m.Sign(channeltest.Key("alice"))
		offer(t, c, channeltest.Encode(t, env, err), feed.Accepted)
		hash := env.Hash()
		prev, hashes = &hash, append(hashes, hash)
	}
	return id, hashes
}

func sealedBody(name string) channel.SealedBody {
	return channel.SealedBody{Body: &channel.Body{Entries: []channel.FileEntry{channeltest.Entry(name, 1)}}}
}

// What a subscription passed over while it was sealed is news when it is
// opened: it stands after everything the cursor has seen.
func TestSealedReleaseIsNewsWhenItIsOpened(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "aml.db"))
	ref := channeltest.Ref("body", 100)
	bodies := []channel.SealedBody{sealedBody("a/1"), {BodyRef: &ref}, {}, sealedBody("b/outside"), sealedBody("a/2")}
	id, hashes := private(t, c, bodies...)
	sealed, err := c.Sealed(t.Context(), id, 0, 0)
	if err != nil || len(sealed) != 5 {
		t.Fatalf("%d sealed, %v", len(sealed), err)
	}
	before := info(t, c, id)
	if before.Sealed != 5 || before.Entries != 0 {
		t.Errorf("info: %+v", before)
	}
	var opened []Opened
	for i, h := range hashes {
		opened = append(opened, Opened{h, bodies[i]})
	}
	for range 2 { // the second changes nothing
		if err := c.Unseal(t.Context(), id, opened...); err != nil {
			t.Fatal(err)
		}
	}
	after, err := c.Releases(t.Context(), id, before.Position, 0)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	for _, r := range after {
		seqs = append(seqs, r.Seq)
	}
	if !slices.Equal(seqs, []uint64{1, 2, 5}) { // 3 says nothing, 4 is refused
		t.Errorf("news are %v", seqs)
	}
	if r := after[1]; r.Body != nil || r.Ref == nil || *r.Ref != ref {
		t.Errorf("a body in a blob: %+v", r)
	}
	if err := c.PutBody(t.Context(), id, hashes[1], *sealedBody("a/3").Body); err != nil {
		t.Error(err)
	}
	if err := c.PutBody(t.Context(), id, hashes[3], *sealedBody("a/3").Body); !errors.Is(err, ErrRefused) {
		t.Errorf("a body outside of the key's scopes: %v", err)
	}
	now := info(t, c, id)
	if now.Sealed != 0 || now.Entries != 3 || now.MissingBodies != 0 {
		t.Errorf("info: %+v", now)
	}
	for _, r := range append(after, now.releases(t, c)...) {
		if r.Seq == 3 && !r.Silent {
			t.Error("a release that says nothing is not told apart")
		}
	}
	if e, err := c.Entry(t.Context(), id, "a/2"); err != nil || e.Position != after[2].Position {
		t.Errorf("the view names another position: %+v, %v", e, err)
	}
}

func (i Info) releases(t *testing.T, c *Catalog) []Release {
	t.Helper()
	all, err := c.Releases(t.Context(), i.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadKeysAreKeptUntilTheChannelIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	id, _ := private(t, c)
	for _, k := range []ReadKey{
		{Key: readKey("address")}, {Epoch: 1, Key: readKey("1")},
		{Epoch: 2, Key: readKey("2"), Keyring: blobnet.ID{2}, Title: "Old"}, {Epoch: 2, Key: readKey("2"), Keyring: blobnet.ID{3}, Title: "New"},
		{Epoch: 2, Key: readKey("2")},
	} {
		if err := c.Learn(t.Context(), id, k); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := c.ReadKeys(t.Context(), id)
	if err != nil || len(keys) != 3 || keys[0].Epoch != 2 || keys[0].Keyring != (blobnet.ID{3}) || !keys[2].Key.Equal(readKey("address")) {
		t.Fatalf("%+v, %v", keys, err)
	}
	if got := info(t, c, id).SealedTitle; got != "New" {
		t.Errorf("title %q", got)
	}
	if err := c.Learn(t.Context(), id, ReadKey{Epoch: 1}); err == nil {
		t.Error("no key was kept as one")
	}
	address := channel.Address{ID: id, ReadKey: readKey("address")}.StringWithReadKey()
	sub, err := c.Subscribe(t.Context(), Subscription{Channel: id, Address: address, Output: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unsubscribe(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.Unfollow(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.ReadKeys(t.Context(), id); err != nil || len(keys) != 0 {
		t.Errorf("after leaving: %+v, %v", keys, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file of read keys is %v, %v", fi.Mode(), err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	raw := readKey("address").Bytes()
	_, text, _ := strings.Cut(address, "#")
	if err != nil || bytes.Contains(file, raw[:]) || bytes.Contains(file, []byte(text)) {
		t.Errorf("a read key that was forgotten is still in the file, %v", err)
	}
}

// A home of the program before this one has a list of members of the newest epoch whose
// key it has, so that a restore which comes after that shows.
func TestTheListOfMembersOfAnOlderFileIsOfTheNewestEpochItReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aml.db")
	c := open(t, path)
	kept, followed := channel.ID{1}, channel.ID{2}
	for _, id := range []channel.ID{kept, followed} {
		for epoch := range uint64(3) { // 0: of an address
			if err := c.Learn(t.Context(), id, ReadKey{Epoch: epoch, Key: channel.ReadKeyFrom([32]byte{1, byte(epoch)})}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	exec1(t, path, fmt.Sprintf(`INSERT INTO owns (channel, key, topic, key_file, root_key_file) VALUES (x'%x', x'01', 't', 'k', 'r');
		DROP TABLE member_lists; PRAGMA user_version = %d`, kept[:], len(migrations)-1))
	c = open(t, path)
	for id, want := range map[channel.ID]uint64{kept: 2, followed: 0} {
		if epoch, err := c.MembersEpoch(t.Context(), id); err != nil || epoch != want {
			t.Errorf("epoch %d, want %d, %v", epoch, want, err)
		}
	}
}
