package publisher_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/publisher"
)

func (w *world) setMembers(c publisher.Created, spec publisher.MembersSpec) (publisher.MembersSet, error) {
	w.t.Helper()
	spec.Channel, spec.Key = c.Channel, w.key
	return w.SetMembers(w.t.Context(), spec)
}

func (w *world) mustSet(c publisher.Created, spec publisher.MembersSpec) publisher.MembersSet {
	w.t.Helper()
	s, err := w.setMembers(c, spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// restored is a home as it was when the log of another ended at one release and the
// members were these; it has caught up since with what followers have.
func restored(w *world, c publisher.Created, members ...channel.Member) *world {
	w.t.Helper()
	ctx := w.t.Context()
	back := newWorld(w.t, 0)
	back.key, back.keyFile = w.key, w.keyFile
	roots, err := w.catalog.Roots(ctx, c.Channel, 1, 1, math.MaxInt)
	if err != nil {
		w.t.Fatal(err)
	}
	key := catalog.ReadKey{Epoch: 1, Key: c.ReadKey}
	own := catalog.Own{Channel: c.Channel, Topic: "t", Key: w.key.Public(), KeyFile: w.keyFile, RootKeyFile: c.RootKeyFile}
	if err := back.catalog.FoundPrivate(ctx, own, key, roots...); err != nil {
		w.t.Fatal(err)
	}
	envs, err := w.catalog.Manifests(ctx, c.Channel, w.key.Public(), 1, 1000, 100, math.MaxInt)
	if err != nil {
		w.t.Fatal(err)
	}
	ms, _ := w.manifests(c.Channel)
	sealed, err := channel.DecodeSealed(ms[0].Sealed)
	if err != nil {
		w.t.Fatal(err)
	}
	key.Keyring = sealed.Keyring
	first := catalog.Addition{Channel: c.Channel, Private: &catalog.Private{Channel: c.Channel, Key: key, Members: members}}
	if err := back.catalog.AppendRelease(ctx, first, envs[0]); err != nil {
		w.t.Fatal(err)
	}
	if _, err := back.catalog.OfferAll(ctx, envs[1:]); err != nil {
		w.t.Fatal(err)
	}
	return back
}

// A list of members that is older than the newest epoch lets nobody in that was
// removed, until somebody says that it was looked at: whether or not the home can
// read that epoch, being a member itself.
func TestARestoredListOfMembersIsNotUsedUnlooked(t *testing.T) {
	for _, reads := range []bool{false, true} {
		w := newWorld(t, 0)
		c := w.createPrivate()
		ada, bob, eve := member(t), member(t), member(t)
		w.mustSet(c, publisher.MembersSpec{Add: []channel.Member{ada, bob}})
		second := w.mustSet(c, publisher.MembersSpec{Remove: []channel.Member{bob}})
		back := restored(w, c, ada, bob)
		if reads {
			ms, _ := w.manifests(c.Channel)
			sealed, err := channel.DecodeSealed(ms[1].Sealed)
			if err != nil {
				t.Fatal(err)
			}
			blob, err := w.store.Get(t.Context(), sealed.Keyring, nil)
			if err == nil {
				err = back.store.Put(t.Context(), sealed.Keyring, blob)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := back.catalog.Learn(t.Context(), c.Channel, catalog.ReadKey{Epoch: 2, Key: second.ReadKey, Keyring: sealed.Keyring, Title: "Secret title"}); err != nil {
				t.Fatal(err)
			}
		}
		if newest, listed, err := back.MembersEpoch(t.Context(), c.Channel); newest != 2 || listed != 1 || err != nil {
			t.Errorf("epoch %d, members of %d, %v", newest, listed, err)
		}
		_, err := back.publishTitle(c, "three")
		if reads && err != nil || !reads && !errors.Is(err, publisher.ErrNoReadKey) {
			t.Errorf("reads %v, publishing: %v", reads, err)
		}
		for _, spec := range []publisher.MembersSpec{{NewEpoch: true}, {Add: []channel.Member{eve}}, {Remove: []channel.Member{ada}}} {
			if s, err := back.setMembers(c, spec); !errors.Is(err, publisher.ErrUnchecked) || s.Seq != 0 {
				t.Errorf("%+v gave %+v, %v", spec, s, err)
			}
		}
		// Who looked begins an epoch, also without the key of the newest one.
		s, err := back.setMembers(c, publisher.MembersSpec{Remove: []channel.Member{bob}, Checked: true})
		if err != nil || s.Epoch != 3 || !s.Began || s.Members != 1 || s.ReadKey.Equal(second.ReadKey) {
			t.Fatalf("%+v, %v", s, err)
		}
		if _, err := back.publishTitle(c, "four"); err != nil {
			t.Error(err)
		}
		if s, err := back.setMembers(c, publisher.MembersSpec{Add: []channel.Member{eve}}); err != nil || s.Epoch != 3 || s.Began || s.Members != 2 {
			t.Errorf("once looked at: %+v, %v", s, err)
		}
		keys, err := back.catalog.ReadKeys(t.Context(), c.Channel)
		if err != nil || keys[0].Epoch != 3 || keys[0].Title != "Secret title" && reads {
			t.Errorf("%d read keys, %v", len(keys), err)
		}
		var previous []uint64
		blob, err := back.store.Get(t.Context(), keys[0].Keyring, nil)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := channel.DecodeKeyring(blob)
		if err != nil {
			t.Fatal(err)
		}
		secrets, err := ring.Open(c.Channel, 3, keys[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range secrets.Previous {
			previous = append(previous, e.Epoch)
		}
		if want := map[bool][]uint64{false: {1}, true: {2, 1}}[reads]; !slices.Equal(previous, want) {
			t.Errorf("reads %v: the new keyring opens epochs %v before, want %v", reads, previous, want)
		}
	}
}

// Adding with the flag shuts out as well: somebody may have the key of the epoch.
func TestAMemberAddedToALookedAtListBeginsAnEpoch(t *testing.T) {
	w := newWorld(t, 0)
	c := w.createPrivate()
	ada, bob := member(t), member(t)
	w.mustSet(c, publisher.MembersSpec{Add: []channel.Member{ada}})
	w.mustSet(c, publisher.MembersSpec{NewEpoch: true})
	back := restored(w, c, ada)
	if s, err := back.setMembers(c, publisher.MembersSpec{Add: []channel.Member{bob}, Checked: true}); err != nil || s.Epoch != 3 || !s.Began || s.Members != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// rotate revokes the world's key after its newest release and goes on with another.
func (w *world) rotate(c publisher.Created, lastGood *uint64) {
	w.t.Helper()
	next, err := channel.GenerateKey()
	if err != nil {
		w.t.Fatal(err)
	}
	w.replace(c, publisher.RootChange{
		Revoke: []publisher.Revocation{{Key: w.key.Public(), LastGood: lastGood}},
		Grant:  []publisher.Grant{{Publisher: channel.Publisher{Key: next.Public(), Role: channel.RolePublish}}},
	})
	w.key = next
}

// The log that an epoch began with counts when its key is gone: nothing is sealed
// under the key of the epoch before, which a removed member has.
func TestARotationAfterARestoreDoesNotGoBackAnEpoch(t *testing.T) {
	w := newWorld(t, 0)
	c := w.createPrivate()
	bob := member(t)
	w.mustSet(c, publisher.MembersSpec{Add: []channel.Member{bob}})
	w.mustSet(c, publisher.MembersSpec{Remove: []channel.Member{bob}})
	back := restored(w, c, bob)
	if err := back.CanSeal(t.Context(), c.Channel); !errors.Is(err, publisher.ErrNoReadKey) {
		t.Errorf("before: %v", err)
	}
	back.rotate(c, nil)
	if _, err := back.publishTitle(c, "three"); !errors.Is(err, publisher.ErrNoReadKey) {
		t.Errorf("published: %v", err)
	}
	if key, err := back.ReadKey(t.Context(), c.Channel); !errors.Is(err, publisher.ErrNoReadKey) {
		t.Errorf("an address would carry %v, %v", key.Equal(c.ReadKey), err)
	}
	if _, err := back.setMembers(c, publisher.MembersSpec{NewEpoch: true}); !errors.Is(err, publisher.ErrUnchecked) {
		t.Errorf("a new epoch: %v", err)
	}
	if s, err := back.setMembers(c, publisher.MembersSpec{Remove: []channel.Member{bob}, Checked: true}); err != nil || s.Epoch != 3 || s.Members != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := back.publishTitle(c, "four"); err != nil {
		t.Error(err)
	}
}

// A thief's epoch counts while the thief may publish. After that it does not where it
// lies after the last good release, nor where no honest channel gets.
func TestARevokedThiefDoesNotUseUpTheEpochs(t *testing.T) {
	one := uint64(1)
	for name, tc := range map[string]struct {
		claimed uint64
		good    *uint64
		want    uint64
	}{
		"void":                     {claimed: 7, good: &one, want: 2},
		"absurd":                   {claimed: 1<<63 - 1, want: 2},
		"just too far":             {claimed: 1<<20 + 2, want: 2},
		"far, and taken as honest": {claimed: 1<<20 + 1, want: 1<<20 + 2},
	} {
		w := newWorld(t, 0)
		c := w.createPrivate()
		w.mustSet(c, publisher.MembersSpec{Add: []channel.Member{member(t)}})
		ms, _ := w.manifests(c.Channel)
		env, err := channel.DecodeEnvelope(func() []byte {
			data, err := w.catalog.Manifests(t.Context(), c.Channel, w.key.Public(), 1, 1, 1, math.MaxInt)
			if err != nil {
				t.Fatal(err)
			}
			return data[0]
		}())
		if err != nil {
			t.Fatal(err)
		}
		stolen, hash := ms[0], env.Hash()
		stolen.Seq, stolen.Prev, stolen.Epoch = 2, &hash, tc.claimed
		signed, err := stolen.Sign(w.key)
		if err != nil {
			t.Fatal(err)
		}
		data, err := channel.EncodeEnvelope(signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.catalog.Append(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		if _, err := w.publishTitle(c, "x"); !errors.Is(err, publisher.ErrNoReadKey) {
			t.Errorf("%s: in the thief's epoch: %v", name, err)
		}
		w.rotate(c, tc.good)
		if s, err := w.setMembers(c, publisher.MembersSpec{NewEpoch: true, Checked: true}); err != nil || s.Epoch != tc.want {
			t.Errorf("%s: epoch %d, want %d, %v", name, s.Epoch, tc.want, err)
		}
	}
}
