package catalog

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Whatever a stranger signs, and by whatever way it comes, the channel stays as
// its own keys made it.
func TestArbitraryContentOfAStrangerChangesNothing(t *testing.T) {
	alice := channeltest.NewChannel(t, "alice")
	c := followed(t, alice)
	offer(t, c, alice.Files("a"), feed.Accepted)
	before := info(t, c, alice.ID)

	mallory := channeltest.Key("mallory")
	body := channel.Body{Entries: []channel.FileEntry{channeltest.Entry("evil", 1000)}}
	manifest := channel.Manifest{
		Format: 1, Channel: alice.ID, Root: 1, Log: alice.Key(), Seq: 2, Prev: &alice.Hash,
		Issued: channel.TimeOf(alice.Now.Add(time.Second)), Body: &body,
	}
	head := channel.Head{
		Format: 1, Channel: alice.ID, Root: 1, Log: alice.Key(), Seq: 1, Hash: channel.Hash{1},
		Issued: manifest.Issued, Expires: manifest.Issued + 3600,
	}
	root := alice.Root
	hash := channel.HashPayload(payload(t, root))
	root.Version, root.Prev, root.Nonce = 2, &hash, nil
	root.Root.Keys = channeltest.Pubs("mallory")
	signed := func(typ string, v interface{ Encode() ([]byte, error) }) []byte {
		env, err := channel.Sign(typ, payload(t, v), mallory)
		return channeltest.Encode(t, env, err)
	}
	forged := signed(channel.TypeManifest, manifest) // in the name of alice's log
	manifest.Log, manifest.Seq, manifest.Prev = mallory.Public(), 1, nil
	own := signed(channel.TypeManifest, manifest) // on a log of its own
	for name, envelope := range map[string][]byte{
		"a manifest in the publisher's name": forged,
		"a manifest on a log of its own":     own,
		"a head in the publisher's name":     signed(channel.TypeHead, head),
		"a root that makes it the owner":     signed(channel.TypeRoot, root),
		"bytes that mean nothing":            []byte("arbitrary content"),
	} {
		for _, offered := range []func() (feed.Outcome, error){
			func() (feed.Outcome, error) { return c.Offer(t.Context(), envelope) },
			func() (feed.Outcome, error) { return c.OfferGossip(t.Context(), envelope) },
		} {
			if o, err := offered(); err != nil || o.Verdict != feed.Rejected || o.Changed {
				t.Errorf("%s is %s: %v, %v", name, o.Verdict, o.Err, err)
			}
		}
	}
	if after := info(t, c, alice.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("the channel became %+v", after)
	}
}

func payload(t *testing.T, v interface{ Encode() ([]byte, error) }) []byte {
	t.Helper()
	data, err := v.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// One key publishes in two channels: what it signs in one is nothing in the
// other, though every signature is good.
func TestMixAndMatchOfTwoChannelsOfOneKey(t *testing.T) {
	one, two := channeltest.NewChannel(t, "alice", "one"), channeltest.NewChannel(t, "alice", "two")
	c := followed(t, one)
	follow(t, c, two)
	first := one.Files("of one")
	offer(t, c, first, feed.Accepted)
	offer(t, c, two.Files("of two"), feed.Accepted)
	offer(t, c, one.Head(time.Hour), feed.Accepted)
	if i := info(t, c, two.ID); i.Releases != 1 || i.Logs[0].Hash == info(t, c, one.ID).Logs[0].Hash || i.Logs[0].Head != nil {
		t.Errorf("the second channel: %+v", i)
	}
	// A release that names the other channel's for its predecessor is a fault
	// that no honest publisher makes.
	two.Hash = one.Hash
	if o, err := c.Offer(t.Context(), two.Files("mixed")); err != nil || o.Verdict == feed.Accepted {
		t.Errorf("a release after another channel's: %s, %v", o.Verdict, err)
	}
	if i := info(t, c, two.ID); i.Releases != 1 {
		t.Errorf("the second channel: %+v", i)
	}
}

// Nobody lets anything new through: the reader is told, and keeps what is there.
func TestFreezeIsShownWhenTheHeadRunsOut(t *testing.T) {
	now := clock()
	c, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ch := channeltest.NewChannel(t, "alice")
	ch.Now = now
	follow(t, c, ch)
	offer(t, c, ch.Files("a"), feed.Accepted)
	offer(t, c, ch.Head(time.Hour), feed.Accepted)
	if i := info(t, c, ch.ID); !i.Fresh {
		t.Errorf("before: %+v", i)
	}
	now = now.Add(2 * time.Hour)
	if i := info(t, c, ch.ID); i.Fresh || i.Entries != 1 {
		t.Errorf("after: %+v", i)
	}
}
