package subscriber

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Endless data: a publisher that names another keyring in every release costs
// who is no member a bounded time at once, and each keyring only once.
func TestEndlessDataOfKeyringsIsTriedAFewAtATime(t *testing.T) {
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	store := memstore.New(memstore.Config{})
	nonce := sha256.Sum256([]byte("nonce"))
	env, err := channel.Root{
		Format: 1, Version: 1, Topics: []string{"t"}, Class: channel.Private, Kind: channel.Media,
		Root:       channel.KeySet{Keys: channeltest.Pubs("owner"), Threshold: 1},
		Publishers: []channel.Publisher{{Key: channeltest.Pub("alice"), Role: channel.RolePublish}},
		Expires:    channel.TimeOf(channeltest.Epoch().AddDate(10, 0, 0)), Nonce: nonce[:16],
	}.Sign(channeltest.Key("owner"))
	id := channel.IDOf(env.Payload)
	all := [][]byte{channeltest.Encode(t, env, err)}
	key := channel.ReadKeyFrom([32]byte{1})
	var prev *channel.Hash
	const keyrings = 3
	for seq := uint64(1); seq <= keyrings; seq++ {
		blob, err := channel.MakeKeyring(id, 1, key, nil, channel.Secrets{})
		if err == nil {
			err = store.Put(t.Context(), blobnet.Sum(blob), blob)
		}
		m := channel.Manifest{Format: 1, Channel: id, Root: 1, Log: channeltest.Pub("alice"), Epoch: 1, Seq: seq, Prev: prev, Issued: channel.TimeOf(channeltest.Epoch())}
		if err == nil {
			err = m.Seal(key, blobnet.Sum(blob), [32]byte{byte(seq)}, channel.SealedBody{})
		}
		if err != nil {
			t.Fatal(err)
		}
		env, err := m.Sign(channeltest.Key("alice"))
		all = append(all, channeltest.Encode(t, env, err))
		hash := env.Hash()
		prev = &hash
	}
	if err := ledger.Expect(t.Context(), id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OfferAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	swarm, err := fetch.New(fetch.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	member, err := channel.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Config{Ledger: ledger, Swarm: swarm, Member: func() (channel.MemberKey, error) { return member, nil }}.validate()
	if err != nil {
		t.Fatal(err)
	}
	u := newUnlocker(cfg, id)
	u.limit = 8 // one keyring
	for round := 1; round <= keyrings+1; round++ {
		if err := u.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := min(round, keyrings); len(u.vain) != want {
			t.Errorf("round %d: %d keyrings were tried, want %d", round, len(u.vain), want)
		}
		if looked := u.after > 0; looked != (round > keyrings) {
			t.Errorf("round %d: all is done: %v", round, looked)
		}
	}
}

// A member that was let in later reads what was released before, by a keyring that
// brings the keys of earlier epochs, in the run in which it learns them.
func TestWhoIsLetInLaterReadsWhatWasLookedAtBefore(t *testing.T) {
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	store := memstore.New(memstore.Config{})
	member, err := channel.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	nonce := sha256.Sum256([]byte("nonce"))
	root, err := channel.Root{
		Format: 1, Version: 1, Topics: []string{"t"}, Class: channel.Private, Kind: channel.Media,
		Root:       channel.KeySet{Keys: channeltest.Pubs("owner"), Threshold: 1},
		Publishers: []channel.Publisher{{Key: channeltest.Pub("alice"), Role: channel.RolePublish}},
		Expires:    channel.TimeOf(channeltest.Epoch().AddDate(10, 0, 0)), Nonce: nonce[:16],
	}.Sign(channeltest.Key("owner"))
	id := channel.IDOf(root.Payload)
	if err := ledger.Expect(t.Context(), id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	offer := func(data []byte) {
		t.Helper()
		if _, err := ledger.OfferAll(t.Context(), [][]byte{data}); err != nil {
			t.Fatal(err)
		}
	}
	offer(channeltest.Encode(t, root, err))
	var prev *channel.Hash
	release := func(epoch uint64, members []channel.Member, secrets channel.Secrets) {
		t.Helper()
		key := channel.ReadKeyFrom([32]byte{byte(epoch)})
		blob, err := channel.MakeKeyring(id, epoch, key, members, secrets)
		if err == nil {
			err = store.Put(t.Context(), blobnet.Sum(blob), blob)
		}
		m := channel.Manifest{Format: 1, Channel: id, Root: 1, Log: channeltest.Pub("alice"), Epoch: epoch, Seq: epoch, Prev: prev, Issued: channel.TimeOf(channeltest.Epoch())}
		if err == nil {
			err = m.Seal(key, blobnet.Sum(blob), [32]byte{byte(epoch)}, channel.SealedBody{Body: &channel.Body{Title: "t"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		env, err := m.Sign(channeltest.Key("alice"))
		offer(channeltest.Encode(t, env, err))
		hash := env.Hash()
		prev = &hash
	}
	swarm, err := fetch.New(fetch.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Config{Ledger: ledger, Swarm: swarm, Member: func() (channel.MemberKey, error) { return member, nil }}.validate()
	if err != nil {
		t.Fatal(err)
	}
	u := newUnlocker(cfg, id)
	sealed := func(want int) {
		t.Helper()
		if err := u.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := ledger.Sealed(t.Context(), id, 0, 0); err != nil || len(left) != want {
			t.Errorf("%d releases are sealed, want %d (%v)", len(left), want, err)
		}
	}
	release(1, nil, channel.Secrets{})
	sealed(1)
	release(2, []channel.Member{member.Public()}, channel.Secrets{Previous: []channel.EpochKey{{Epoch: 1, Key: [32]byte{1}}}})
	sealed(0)
}
