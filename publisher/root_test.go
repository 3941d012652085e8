package publisher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/publisher"
)

// draft drafts a root and signs it with the root key of its founding.
func (w *world) draft(c publisher.Created, change publisher.RootChange) channel.RootDraft {
	w.t.Helper()
	d, err := w.DraftRoot(w.t.Context(), c.Channel, change)
	if err != nil {
		w.t.Fatal(err)
	}
	if d, err = publisher.SignDraft(d, keyfile.Keys{}, c.RootKeyFile); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// replace puts a new root into force.
func (w *world) replace(c publisher.Created, change publisher.RootChange) {
	w.t.Helper()
	if unannounced, err := w.PublishRoot(w.t.Context(), w.draft(c, change), nil); err != nil || unannounced != nil {
		w.t.Fatal(err, unannounced)
	}
}

func grant(name string, role channel.Role, expires time.Time) publisher.RootChange {
	return publisher.RootChange{Grant: []publisher.Grant{{Publisher: channel.Publisher{Key: channeltest.Pub(name), Role: role, Expires: channel.TimeOf(expires)}}}}
}

func TestAHeadKeyRenewsHeadsAtAQuarterOfTheirLifeAndNothingElse(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	w.replace(c, grant("clock", channel.RoleHead, w.clock.Now().Add(30*24*time.Hour)))
	p, err := w.publishTitle(c, "one")
	if err != nil {
		t.Fatal(err)
	}
	renewed := func(name string) channel.Head {
		t.Helper()
		if err := w.RenewHeadsBy(t.Context(), c.Channel, channeltest.Key(name)); err != nil {
			t.Fatal(err)
		}
		info, err := w.catalog.Channel(t.Context(), c.Channel)
		if err != nil {
			t.Fatal(err)
		}
		return *info.Logs[0].Head
	}
	due := func() bool {
		info, err := w.catalog.Channel(t.Context(), c.Channel)
		if err != nil {
			t.Fatal(err)
		}
		return w.HeadsDue(info, channeltest.Pub("clock"))
	}
	first := renewed("clock")
	w.clock.move(14 * 24 * time.Hour / 4)
	if due() || renewed("clock").Issued != first.Issued {
		t.Error("renewed before a quarter of its life was over")
	}
	w.clock.move(time.Second)
	if !due() || renewed("stranger").Issued != first.Issued {
		t.Error("not due, or a stranger renewed it")
	}
	second := renewed("clock")
	if second.Issued != channel.TimeOf(w.clock.Now()) || second.Seq != 1 || second.Hash != p.Hash || second.Expires-second.Issued != 14*24*3600 {
		t.Errorf("%+v", second)
	}
	w.clock.move(27 * 24 * time.Hour) // past the end of the key's right
	if due() || renewed("clock").Issued != second.Issued {
		t.Error("renewed after the key's right had ended")
	}
	// Its own key goes on, as always.
	if err := w.RenewHeads(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, _ := w.catalog.Channel(t.Context(), c.Channel); !info.Fresh {
		t.Error("not fresh by its own key")
	}
}

func TestARootIsInForceOnDiskBeforeAnybodyIsTold(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	nobody := errors.New("nobody is there")
	var atCast catalog.Info
	w.onCast = func(id channel.ID) (err error) {
		atCast, err = w.catalog.Channel(t.Context(), id)
		return errors.Join(err, nobody)
	}
	d := w.draft(c, publisher.RootChange{Title: new("New title")})
	unannounced, err := w.PublishRoot(t.Context(), d, nil)
	if err != nil || !errors.Is(unannounced, nobody) || atCast.Root.Version != 2 || atCast.Root.Title != "New title" {
		t.Errorf("%v, %v, version %d", err, unannounced, atCast.Root.Version)
	}
	if _, err := w.PublishRoot(t.Context(), d, nil); !errors.Is(err, publisher.ErrPublished) {
		t.Errorf("again: %v", err)
	}
}

// Mix-up of drafts: what does not follow the newest root, or too few have
// signed, changes nothing.
func TestADraftThatIsNotTheNextRootChangesNothing(t *testing.T) {
	w := newWorld(t, 0)
	c, other := w.create("t"), w.create("other")
	late := w.draft(c, publisher.RootChange{Title: new("late")})
	unsigned, err := w.DraftRoot(t.Context(), c.Channel, publisher.RootChange{Title: new("unsigned")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PublishRoot(t.Context(), unsigned, nil); !errors.Is(err, channel.ErrNotAuthorized) || !strings.Contains(err.Error(), "1 of the root keys of version 1") {
		t.Errorf("unsigned: %v", err)
	}
	if _, err := publisher.SignDraft(unsigned, keyfile.Keys{}, other.RootKeyFile); !errors.Is(err, channel.ErrNotAuthorized) {
		t.Errorf("by another channel's key: %v", err)
	}
	w.replace(c, publisher.RootChange{Title: new("second")})
	if _, err := w.PublishRoot(t.Context(), late, nil); !errors.Is(err, channel.ErrChain) || !strings.Contains(err.Error(), "draft it again") {
		t.Errorf("late: %v", err)
	}
	info, err := w.catalog.Channel(t.Context(), c.Channel)
	if err != nil || info.Root.Version != 2 || info.Root.Title != "second" || info.Forked {
		t.Errorf("%+v, %v", info.Root, err)
	}
}

func TestARevocationNamesTheLastGoodReleaseByItsHash(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	var hashes []channel.Hash
	for _, title := range []string{"one", "two", "three"} {
		p, err := w.publishTitle(c, title)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, p.Hash)
	}
	for last, want := range map[uint64]channel.Hash{0: {}, 1: hashes[0], 3: hashes[2]} {
		d := w.draft(c, publisher.RootChange{Revoke: []publisher.Revocation{{Key: w.key.Public(), LastGood: &last}}})
		if v := d.Root.Revoked[0]; v.Seq != last || v.Hash != want || len(d.Root.Publishers) != 0 {
			t.Errorf("last good %d: %+v", last, v)
		}
	}
	w.replace(c, publisher.RootChange{Revoke: []publisher.Revocation{{Key: w.key.Public(), LastGood: new(uint64(2))}}})
	info, err := w.catalog.Channel(t.Context(), c.Channel)
	if err != nil || info.Logs[0].Seq != 2 {
		t.Errorf("%+v, %v", info.Logs, err)
	}
	if _, err := w.publishTitle(c, "four"); !errors.Is(err, channel.ErrNotAuthorized) || !strings.Contains(err.Error(), "revoked after its release 2") {
		t.Errorf("%v", err)
	}
	if _, err := w.DraftRoot(t.Context(), c.Channel, publisher.RootChange{Revoke: []publisher.Revocation{{Key: channeltest.Pub("nobody")}}}); !errors.Is(err, publisher.ErrNoPublisher) {
		t.Errorf("a key that is none: %v", err)
	}
}

// What is revoked stays so, and a root has room for so many.
func TestAChannelRevokesSoManyKeysAndWarnsBeforeTheEnd(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	warned := 0
	for n := range channel.MaxRevoked/16 + 1 {
		var in, out publisher.RootChange
		for i := range 16 {
			name := fmt.Sprintf("guest %d", 16*n+i)
			in.Grant = append(in.Grant, grant(name, channel.RolePublish, w.clock.Now().Add(time.Hour)).Grant...)
			out.Revoke = append(out.Revoke, publisher.Revocation{Key: channeltest.Pub(name)})
		}
		w.replace(c, in)
		d, err := w.DraftRoot(t.Context(), c.Channel, out)
		if n == channel.MaxRevoked/16 {
			if !errors.Is(err, channel.ErrLimit) || !strings.Contains(err.Error(), "found another channel") {
				t.Errorf("one batch too many: %v", err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		prev, err := d.Previous()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.Join(channel.Changes(prev, d.Root), "; "), "there cannot be more than 64") {
			warned++
		}
		w.replace(c, out)
	}
	if warned != 1 {
		t.Errorf("warned at %d of the batches, want the last alone", warned)
	}
}

func TestAnExpiredRootIsReplacedByOneWithAnotherEnd(t *testing.T) {
	w := newWorld(t, 0)
	c := w.create("t")
	w.clock.move(11 * 365 * 24 * time.Hour)
	if _, err := w.DraftRoot(t.Context(), c.Channel, publisher.RootChange{Title: new("x")}); !errors.Is(err, channel.ErrExpired) {
		t.Errorf("%v", err)
	}
	w.replace(c, publisher.RootChange{Expires: channel.TimeOf(w.clock.Now().Add(time.Hour))})
	if _, err := w.publishTitle(c, "on"); err != nil {
		t.Error(err)
	}
}

func TestOfAChannelThatIsNotKnownNothingIsDrafted(t *testing.T) {
	w := newWorld(t, 0)
	if _, err := w.DraftRoot(t.Context(), channel.ID{1}, publisher.RootChange{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	id := channel.ID{2}
	if err := w.catalog.Expect(t.Context(), id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DraftRoot(t.Context(), id, publisher.RootChange{}); !errors.Is(err, publisher.ErrNoRoot) {
		t.Errorf("%v", err)
	}
	if _, err := publisher.JoinDrafts(); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("%v", err)
	}
}
