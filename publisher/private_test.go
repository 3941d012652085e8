package publisher_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

func (w *world) createPrivate() publisher.Created {
	w.t.Helper()
	c, err := w.Create(w.t.Context(), publisher.CreateSpec{
		Topics: []string{"t"}, Title: "Secret title", Class: channel.Private, Key: w.key, KeyFile: w.keyFile, KeyDir: filepath.Join(w.dir, ".keys"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func member(t *testing.T) channel.Member {
	t.Helper()
	key, err := channel.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// manifests returns what the log signed.
func (w *world) manifests(id channel.ID) (out []channel.Manifest, raw []byte) {
	w.t.Helper()
	envs, err := w.catalog.Manifests(w.t.Context(), id, w.key.Public(), 1, 1000, 100, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, data := range envs {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			w.t.Fatal(err)
		}
		m, err := channel.OpenManifest(env)
		if err != nil {
			w.t.Fatal(err)
		}
		out, raw = append(out, m), append(raw, data...)
	}
	return out, raw
}

func TestPrivateReleaseSaysNothingInClearAndItsInventoryListsTheKeyring(t *testing.T) {
	w := newWorld(t, 0)
	c := w.createPrivate()
	entries := w.ingest(map[string][]byte{"secret-name.txt": []byte("plain text")})
	r := publisher.Release{Channel: c.Channel, Key: w.key, Title: "secret release", Entries: entries}
	if _, err := w.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ms, raw := w.manifests(c.Channel)
	roots, err := w.catalog.Roots(t.Context(), c.Channel, 1, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, bytes.Join(roots, nil)...)
	for _, secret := range []string{"secret-name", "secret release", "Secret title", string(entries[0].Root.Key[:])} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("what is signed holds %q", secret)
		}
	}
	s, err := channel.DecodeSealed(ms[0].Sealed)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for id, err := range codec.Inventory(t.Context(), w.store, *ms[0].Inventory) {
		if err != nil {
			t.Fatal(err)
		}
		listed[id.String()] = true
	}
	if !listed[s.Keyring.String()] || !listed[entries[0].Root.ID.String()] {
		t.Errorf("the inventory lists %v", listed)
	}
	e, err := w.catalog.Entry(t.Context(), c.Channel, "secret-name.txt")
	if err != nil || e.SHA256 != entries[0].SHA256 {
		t.Errorf("the publisher's own view: %+v, %v", e, err)
	}
	info, err := w.catalog.Channel(t.Context(), c.Channel)
	if err != nil || info.SealedTitle != "Secret title" || info.Logs[0].Head == nil || info.Logs[0].Head.Epoch != 1 || !info.Fresh {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestMembersAreAddedInTheEpochAndRemovedWithANewOne(t *testing.T) {
	w := newWorld(t, 0)
	c := w.createPrivate()
	ada, bob := member(t), member(t)
	set := func(spec publisher.MembersSpec) publisher.MembersSet {
		t.Helper()
		spec.Channel, spec.Key = c.Channel, w.key
		s, err := w.SetMembers(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := set(publisher.MembersSpec{Add: []channel.Member{ada, bob, ada}}); s.Epoch != 1 || s.Began || s.Seq != 1 || s.Members != 2 || !s.ReadKey.Equal(c.ReadKey) {
		t.Errorf("added: %+v", s)
	}
	if s := set(publisher.MembersSpec{Add: []channel.Member{ada}}); s.Seq != 0 || s.Members != 2 {
		t.Errorf("added again: %+v", s)
	}
	s := set(publisher.MembersSpec{Remove: []channel.Member{ada}})
	if s.Epoch != 2 || !s.Began || s.Seq != 2 || s.Members != 1 || s.ReadKey.Equal(c.ReadKey) {
		t.Errorf("removed: %+v", s)
	}
	if key, err := w.ReadKey(t.Context(), c.Channel); err != nil || !key.Equal(s.ReadKey) {
		t.Errorf("the address would carry another key, %v", err)
	}
	if _, err := w.SetMembers(t.Context(), publisher.MembersSpec{Channel: c.Channel, Key: w.key, Remove: []channel.Member{ada}}); !errors.Is(err, publisher.ErrNoMember) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	if members, err := w.catalog.Members(t.Context(), c.Channel); err != nil || len(members) != 1 || members[0].Key != bob {
		t.Errorf("%d members, %v", len(members), err)
	}
	ms, _ := w.manifests(c.Channel)
	for i, m := range ms {
		for epoch, key := range []channel.ReadKey{c.ReadKey, s.ReadKey} {
			_, err := m.Unseal(key)
			if (err == nil) != (uint64(epoch+1) == m.Epoch) {
				t.Errorf("manifest %d of epoch %d under the key of %d: %v", i+1, m.Epoch, epoch+1, err)
			}
		}
	}
	if !slices.Contains(w.noted(), "broadcast") {
		t.Error("nobody was told")
	}
}

func TestMembersOfAPublicChannelAreRefused(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	_, err := w.SetMembers(t.Context(), publisher.MembersSpec{Channel: c.Channel, Key: w.key, Add: []channel.Member{member(t)}})
	if !errors.Is(err, publisher.ErrPublic) {
		t.Errorf("%v", err)
	}
	if _, err := w.ReadKey(t.Context(), c.Channel); !errors.Is(err, publisher.ErrPublic) {
		t.Errorf("%v", err)
	}
}

// A keyring that the store lost is made again by who keeps the members.
func TestLostKeyringIsMadeAgain(t *testing.T) {
	w := newWorld(t, 0)
	c := w.createPrivate()
	r := publisher.Release{Channel: c.Channel, Key: w.key, Title: "one"}
	if _, err := w.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ms, _ := w.manifests(c.Channel)
	first, _ := channel.DecodeSealed(ms[0].Sealed)
	if err := w.store.Unpin(t.Context(), first.Keyring); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), first.Keyring); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ms, _ = w.manifests(c.Channel)
	second, _ := channel.DecodeSealed(ms[1].Sealed)
	if second.Keyring == first.Keyring || ms[1].Epoch != 1 {
		t.Errorf("keyring %s of epoch %d", second.Keyring.Short(), ms[1].Epoch)
	}
	if has, err := w.store.Has(t.Context(), second.Keyring); err != nil || !has[0] {
		t.Errorf("%v, %v", has, err)
	}
}

// A second publisher needs the read key, cannot change members, and stops when
// an epoch begins that it was not let into.
func TestSecondPublisherIsAMemberOrPublishesNothing(t *testing.T) {
	w, other := newWorld(t, 0), newWorld(t, 0)
	root, err := channel.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	publishers := []channel.Publisher{{Key: w.key.Public(), Role: channel.RolePublish}, {Key: other.key.Public(), Role: channel.RolePublish}}
	slices.SortFunc(publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	env, err := channel.Root{
		Format: 1, Version: 1, Topics: []string{"t"}, Class: channel.Private, Kind: channel.Media,
		Root:       channel.KeySet{Keys: []channel.PublicKey{root.Public()}, Threshold: 1},
		Publishers: publishers, Expires: channel.TimeOf(w.clock.Now().AddDate(1, 0, 0)), Nonce: make([]byte, 16),
	}.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	data, err := channel.EncodeEnvelope(env)
	if err != nil {
		t.Fatal(err)
	}
	id := channel.IDOf(env.Payload)
	key := channel.ReadKeyFrom([32]byte{1})
	if err := w.catalog.FoundPrivate(t.Context(), catalog.Own{Channel: id, Topic: "t", Key: w.key.Public(), RootKeyFile: "root.pem"},
		catalog.ReadKey{Epoch: 1, Key: key}, data); err != nil {
		t.Fatal(err)
	}
	if err := other.catalog.Found(t.Context(), catalog.Own{Channel: id, Topic: "t", Key: other.key.Public()}, data); err != nil {
		t.Fatal(err)
	}
	publish := func(w *world) error {
		_, err := w.Publish(t.Context(), publisher.Release{Channel: id, Key: w.key, Title: "x"})
		return err
	}
	carry := func() {
		t.Helper()
		envs, err := w.catalog.Manifests(t.Context(), id, w.key.Public(), 1, 1000, 100, 1<<20)
		if err == nil {
			_, err = other.catalog.OfferAll(t.Context(), envs)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(w); err != nil {
		t.Fatal(err)
	}
	carry()
	if err := publish(other); !errors.Is(err, publisher.ErrNoReadKey) {
		t.Errorf("without the key: %v", err)
	}
	ms, _ := w.manifests(id)
	sealed, err := channel.DecodeSealed(ms[0].Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.catalog.Learn(t.Context(), id, catalog.ReadKey{Epoch: 1, Key: key, Keyring: sealed.Keyring}); err != nil {
		t.Fatal(err)
	}
	if err := publish(other); !errors.Is(err, publisher.ErrMissing) {
		t.Errorf("without the keyring: %v", err)
	}
	blob, err := w.store.Get(t.Context(), sealed.Keyring, nil)
	if err == nil {
		err = other.store.Put(t.Context(), sealed.Keyring, blob)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := publish(other); err != nil {
		t.Error(err)
	}
	spec := publisher.MembersSpec{Channel: id, Key: other.key, NewEpoch: true}
	if _, err := other.SetMembers(t.Context(), spec); !errors.Is(err, publisher.ErrNotKeeper) {
		t.Errorf("changing members: %v", err)
	}
	spec.Key = w.key
	if _, err := w.SetMembers(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	carry()
	if err := publish(other); !errors.Is(err, publisher.ErrNoReadKey) {
		t.Errorf("shut out: %v", err)
	}
}
