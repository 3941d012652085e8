package subscriber_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

func newMember(t *testing.T) channel.MemberKey {
	t.Helper()
	key, err := channel.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *world) learn(key channel.ReadKey) {
	w.t.Helper()
	if err := w.ledger.Learn(w.t.Context(), w.id, catalog.ReadKey{Key: key}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) members(spec publisher.MembersSpec) publisher.MembersSet {
	w.t.Helper()
	spec.Channel, spec.Key = w.id, w.key
	set, err := w.pub.SetMembers(w.t.Context(), spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

func publics(keys ...channel.MemberKey) (out []channel.Member) {
	for _, k := range keys {
		out = append(out, k.Public())
	}
	return out
}

func TestAddressWithReadKeyReadsItsEpochAndThoseBefore(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	w.publish("one", files{"a": "first"})
	second := w.members(publisher.MembersSpec{NewEpoch: true})
	if second.Epoch != 2 || !second.Began {
		t.Fatalf("%+v", second)
	}
	w.publish("two", files{"b": "second"})
	w.learn(second.ReadKey)
	w.update()
	w.wantTree(files{"a": "first", "b": "second"})
	w.wantTold("manifest 1 one", "file a", "manifest 3 two", "file b")
	info, err := w.ledger.Channel(t.Context(), w.id)
	if err != nil || info.SealedTitle != "Title of the channel" || info.Root.Title != "" {
		t.Errorf("titles %q and %q, %v", info.SealedTitle, info.Root.Title, err)
	}
}

func TestAddressOfAnEarlierEpochOpensNothingNew(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	w.publish("one", files{"a": "first"})
	w.learn(w.readKey)
	w.update()
	w.take()
	w.members(publisher.MembersSpec{NewEpoch: true})
	w.publish("two", files{"b": "second"})
	w.sync()
	if err := w.follow(); !errors.Is(err, subscriber.ErrSealed) {
		t.Errorf("following: %v", err)
	}
	w.wantTree(files{"a": "first"})
	w.wantTold("error ", "error ") // the release that begins the epoch, and the next
}

func TestMemberReadsWithoutAnyKeyInTheAddressAndRemovedItReadsOnlyWhatWas(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	stays := newMember(t)
	w.member = newMember(t)
	w.publish("before", files{"a": "before it came"})
	w.members(publisher.MembersSpec{Add: publics(stays, w.member)})
	w.publish("two", files{"b": "second"})
	w.update()
	w.wantTree(files{"a": "before it came", "b": "second"})
	w.take()

	w.members(publisher.MembersSpec{Remove: publics(w.member)})
	w.publish("three", files{"c": "third"})
	w.sync()
	if err := w.follow(); !errors.Is(err, subscriber.ErrSealed) {
		t.Errorf("the removed one: %v", err)
	}
	w.wantTree(files{"a": "before it came", "b": "second"})

	w.member = stays
	w.out, w.ledger = filepath.Join(t.TempDir(), "stays"), openCatalog(t)
	w.subscribe()
	w.update()
	w.wantTree(files{"a": "before it came", "b": "second", "c": "third"})

	// Whom one lets in again reads what it missed.
	w.member = newMember(t)
	w.out, w.ledger = filepath.Join(t.TempDir(), "again"), openCatalog(t)
	w.subscribe()
	w.sync()
	if err := w.follow(); err != nil { // a blind mirror so far
		t.Fatal(err)
	}
	w.wantTree(files{})
	w.take()
	w.members(publisher.MembersSpec{Add: publics(w.member)})
	w.update()
	w.wantTree(files{"a": "before it came", "b": "second", "c": "third"})
	w.wantTold("manifest 1 before", "file a", "manifest 3 two", "file b", "manifest 5 three", "file c")
}

func TestBlindMirrorHasEveryBlobAndServesThemToReaders(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	big := pattern(300_000, 1)
	w.publish("one", files{"a": big})
	w.publish("two", files{"b": "second"})
	w.update()
	w.wantTold("mirrored 1", "mirrored 2")
	w.wantTree(files{})

	mirror := w.store
	w.store, w.out, w.ledger = memstore.New(memstore.Config{}), filepath.Join(t.TempDir(), "reader"), openCatalog(t)
	w.swarm = newSwarm(t, w.store, &peer{Source: mirror, asked: map[blobnet.ID]int{}})
	w.subscribe()
	w.learn(w.readKey)
	w.update()
	w.wantTree(files{"a": big, "b": "second"})
}

// What a mirror holds shows nothing of what it mirrors: no blob, and no byte of
// its catalogue.
func TestBlindMirrorHoldsNoNameTitleKeyOrPlaintext(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	path := filepath.Join(t.TempDir(), "aml.db")
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger
	w.subscribe()
	const name, title, text = "unmistakable-name.txt", "unmistakable title", "an unmistakable line of text. "
	w.publish(title, files{name: text})
	w.members(publisher.MembersSpec{Add: publics(newMember(t))})
	w.update()
	entry, err := w.pubLedger.Entry(t.Context(), w.id, name)
	if err != nil {
		t.Fatal(err)
	}
	raw := w.readKey.Bytes()
	secrets := map[string][]byte{
		"the name": []byte(name), "the title": []byte(title), "the text": []byte(text), "the channel's title": []byte("Title of the channel"),
		"the read key": raw[:], "the file's key": entry.Root.Key[:], "the file's hash": entry.SHA256[:],
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(where string, data []byte) {
		for what, secret := range secrets {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
	look("the catalogue", db)
	blobs := 0
	for id, err := range codec.Blobs(t.Context(), w.store, entry.File()) {
		blob, getErr := w.store.Get(t.Context(), id, nil)
		if err != nil || getErr != nil {
			t.Fatal(err, getErr)
		}
		blobs++
		look("a blob", blob)
	}
	if blobs == 0 {
		t.Error("the mirror has not the file's blobs")
	}
}

func TestKeyringThatNobodyHasIsWaitedForUnlessOthersFollow(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	w.member = newMember(t)
	set := w.members(publisher.MembersSpec{Add: publics(w.member)})
	if set.Began || set.Epoch != 1 || set.Seq != 1 {
		t.Errorf("%+v", set)
	}
	w.publish("one", files{"a": "first"})
	keys, err := w.pubLedger.ReadKeys(t.Context(), w.id)
	if err != nil {
		t.Fatal(err)
	}
	gone := keys[0].Keyring
	w.peer.onGet = func(id blobnet.ID) error {
		if id == gone {
			return blobnet.ErrNotFound
		}
		return nil
	}
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("without the keyring: %v", err)
	}
	w.peer.onGet = nil
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantTree(files{"a": "first"})
}

func TestReleaseWhoseSealIsBrokenIsRefusedAndTheNextApplied(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	w.publish("one", files{"a": "first"})
	w.sign(channel.Manifest{Epoch: 1, Sealed: []byte("no structure at all")})
	w.publish("three", files{"c": "third"})
	w.learn(w.readKey)
	w.update()
	w.wantTree(files{"a": "first", "c": "third"})
	info, err := w.ledger.Channel(t.Context(), w.id)
	if err != nil || info.Sealed != 0 {
		t.Errorf("%d stay sealed, %v", info.Sealed, err)
	}
}

func TestLargeBodyOfAPrivateChannelLiesInASealedBlob(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	many := files{}
	for i := range 400 {
		many[string(rune('a'+i/26%26))+string(rune('a'+i%26))+string(rune('0'+i/676))] = "x"
	}
	w.publish("many", many)
	w.learn(w.readKey)
	w.update()
	w.wantTree(many)
}

// The keyring of the newest epoch brings all keys before it: who comes late needs
// no other, though nobody has them any more.
func TestNewestKeyringIsEnoughForAllEpochs(t *testing.T) {
	for _, how := range []string{"address", "member"} {
		w := newWorldOf(t, channel.Private)
		reader := newMember(t)
		want := files{}
		var set publisher.MembersSet
		for epoch := range 5 {
			name := string(rune('a' + epoch))
			set = w.members(publisher.MembersSpec{NewEpoch: true})
			w.publish(name, files{name: name})
			want[name] = name
		}
		set = w.members(publisher.MembersSpec{Add: publics(reader)})
		if how == "member" {
			w.member = reader
		} else {
			w.learn(set.ReadKey)
		}
		keys, err := w.pubLedger.ReadKeys(t.Context(), w.id)
		if err != nil {
			t.Fatal(err)
		}
		w.peer.onGet = func(id blobnet.ID) error {
			blob, err := w.pubStore.Get(t.Context(), id, nil)
			if _, bad := channel.DecodeKeyring(blob); err == nil && bad == nil && id != keys[0].Keyring {
				return blobnet.ErrNotFound
			}
			return err
		}
		w.update()
		w.wantTree(want)
		info, err := w.ledger.Channel(t.Context(), w.id)
		if err != nil || info.SealedTitle != "Title of the channel" || info.Sealed != 0 {
			t.Errorf("%s: %d sealed, title %q, %v", how, info.Sealed, info.SealedTitle, err)
		}
	}
}

// An address opens its own epoch also when the keyring is not to be had, and
// what came before once it is.
func TestKeyringThatComesLateOpensWhatCameBefore(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	w.publish("one", files{"a": "first"})
	set := w.members(publisher.MembersSpec{NewEpoch: true})
	w.publish("two", files{"b": "second"})
	w.learn(set.ReadKey)
	w.peer.onGet = func(id blobnet.ID) error {
		blob, err := w.pubStore.Get(t.Context(), id, nil)
		if _, bad := channel.DecodeKeyring(blob); err == nil && bad == nil {
			return blobnet.ErrNotFound
		}
		return err
	}
	w.sync()
	if err := w.follow(); !errors.Is(err, subscriber.ErrSealed) {
		t.Errorf("without the keyring: %v", err)
	}
	w.wantTree(files{"b": "second"})
	w.peer.onGet = nil
	w.update()
	w.wantTree(files{"a": "first", "b": "second"})
}
