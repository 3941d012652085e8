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
