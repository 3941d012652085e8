package subscriber_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// owned is a world whose root key is at hand, with a second publishing key.
type owned struct {
	*world
	root, guest channel.PrivateKey
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	w := &owned{world: newWorld(t)}
	created, err := w.pub.Create(t.Context(), publisher.CreateSpec{Topics: []string{"owned"}, Key: w.key, KeyDir: t.TempDir()})
	if err == nil {
		w.id = created.Channel
		w.root, err = keyfile.Load(created.RootKeyFile)
	}
	// Of two releases of one second the greater key's counts: the guest's.
	for err == nil && w.guest.Public().Compare(w.key.Public()) <= 0 {
		w.guest, err = channel.GenerateKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.subscribe()
	w.change(publisher.RootChange{Grant: []publisher.Grant{{Publisher: channel.Publisher{Key: w.guest.Public(), Role: channel.RolePublish}}}})
	return w
}

// change puts a root into force.
func (w *owned) change(c publisher.RootChange) {
	w.t.Helper()
	d, err := w.pub.DraftRoot(w.t.Context(), w.id, c)
	if err == nil {
		d, err = d.Sign(w.root)
	}
	if err == nil {
		_, err = w.pub.PublishRoot(w.t.Context(), d, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// as publishes with a key, and carries it over.
func (w *owned) as(key channel.PrivateKey, f files) {
	w.t.Helper()
	if _, err := w.pub.Publish(w.t.Context(), publisher.Release{Channel: w.id, Key: key, Entries: w.ingest(f)}); err != nil {
		w.t.Fatal(err)
	}
}

// syncAll carries what both keys have signed over.
func (w *owned) syncAll() {
	w.t.Helper()
	w.sync()
	m, err := w.pubLedger.Manifests(w.t.Context(), w.id, w.guest.Public(), 1, 1<<40, 100, 1<<20)
	if err == nil && len(m) > 0 {
		_, err = w.ledger.OfferAll(w.t.Context(), m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *owned) updateAll() {
	w.t.Helper()
	w.syncAll()
	err := w.follow()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatAThiefHadReleasedGoesWhenItsKeyIsRevoked(t *testing.T) {
	w := newOwned(t)
	w.as(w.key, files{"tool": "good", "kept": "good", "deleted": "good", "both": "same"})
	w.as(w.guest, files{"guest": "fine"})
	w.as(w.guest, files{"evil.sh": "evil", "tool": "evil", "kept": "evil", "deleted": "evil", "both": "same"})
	w.updateAll()
	w.wantTree(files{"guest": "fine", "evil.sh": "evil", "tool": "evil", "kept": "evil", "deleted": "evil", "both": "same"})
	if err := os.WriteFile(filepath.Join(w.out, "kept"), []byte("the user's own work"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.out, "deleted")); err != nil {
		t.Fatal(err)
	}
	w.take()

	one := uint64(1)
	w.change(publisher.RootChange{Revoke: []publisher.Revocation{{Key: w.guest.Public(), LastGood: &one}}})
	w.updateAll()
	events := w.take()
	for _, name := range []string{"evil.sh", "tool"} {
		if !slices.ContainsFunc(events, func(e subscriber.Event) bool {
			r, ok := e.(subscriber.RemovedEvent)
			return ok && r.Name == name && strings.Contains(r.Reason, "withdrawn")
		}) {
			t.Errorf("that %s went is not told: %q", name, told(events))
		}
	}
	got := tree(t, w.out)
	for name, content := range (files{"guest": "fine", "tool": "good", "both": "same"}) {
		if got[name] != content {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	if _, ok := got["evil.sh"]; ok {
		t.Error("what the thief released is still there")
	}
	if _, ok := got["deleted"]; ok {
		t.Error("what the user had deleted came back")
	}
	if !slices.Contains(slices.Collect(maps.Values(got)), "the user's own work") {
		t.Errorf("the user's own work is lost: %v", got)
	}
	w.updateAll()
	if again := w.take(); len(again) != 0 {
		t.Errorf("told again: %q", told(again))
	}
}
